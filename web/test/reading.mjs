// reading.mjs: neurons and the recorded text: the strip coloured by a neuron, its card, nearest
// circuits of the prompt, the map.

const numbers = (p, selector) => p.$$eval(selector, (es) => es.map((e) => Number(e.dataset.exact)));
const same = (check, a, b, what) =>
  check(
    JSON.stringify(a) === JSON.stringify(b),
    `${what}: ${JSON.stringify(a).slice(0, 200)}, expected ${JSON.stringify(b).slice(0, 200)}`,
  );
const named = ([layer, channel, index]) => [
  "--layer",
  layer,
  "--channel",
  channel,
  "--index",
  index,
];
const current = (p) => p.$eval("[aria-current=page]", (e) => e.textContent);

/**
 * The strip by a neuron's value, gate and input: the command's numbers, and the address holds the
 * choice.
 */
async function strip(t, p, at) {
  const { check, cli, run, text } = t;
  const [layer, channel, index] = at;
  const a = cli("neuron", run, ...named(at), "--prompt", text).prompt;
  await t.open(p, { view: "circuit" });
  await p.click(
    `[aria-label='colour the strip by layer ${layer} channel ${channel} neuron ${index}'] >> nth=0`,
  );
  await t.settled(p);
  const shown = () => p.$$eval("#strip .tok", (es) => es.map((e) => Number(e.dataset.value)));
  same(check, await shown(), a.value, "strip: values of a neuron");
  check((await p.$eval("#colour", (e) => e.value)) === "neuron", "strip: the choice is the neuron");
  for (const q of ["gate", "input"]) {
    await p.selectOption("#quantity", q);
    await t.settled(p);
    same(check, await shown(), a[q], `strip: ${q} of a neuron`);
  }
  check(
    p.url().includes(`tinted=${at.join(".")}`) && p.url().includes("quantity=input"),
    "strip: the neuron stands in the address",
  );
  const legend = await p.$eval("#strip .legend", (e) => e.textContent);
  const most = Math.max(...a.input.map(Math.abs));
  check(
    legend.includes(`+${most.toFixed(3)}`) && legend.includes(`-${most.toFixed(3)}`),
    `strip: the legend has the range (${legend}, ${most})`,
  );
  await p.hover("#strip .tok >> nth=4");
  const tip = await p.$eval("#tip", (e) => e.textContent);
  const x = a.input[4];
  check(
    tip.includes(`input ${x < 0 ? "" : "+"}${x.toFixed(4)}`) &&
      tip.includes(a.chosen[4] ? "gate" : "not chosen"),
    `strip: hover tells the numbers (${tip})`,
  );
  await p.reload();
  await t.settled(p);
  same(check, await shown(), a.input, "strip: a loaded address shows the same");
  await p.goBack();
  await t.settled(p);
  same(check, await shown(), a.gate, "strip: back returns to the number before");
}

/** The card with its recording. */
async function card(t, p, at) {
  const { check, cli, run, recording } = t;
  const [layer, channel, index] = at;
  const n = cli(
    "neuron",
    run,
    ...named(at),
    "--recording",
    recording,
    "--top",
    "10",
    "--links",
    "10",
    "--excerpts",
    "8",
  );
  const r = n.recorded;
  await t.open(p, { view: "neuron", neuron: at.join("."), docs: "16" });
  check(
    (await p.$eval("#fires", (e) => Number(e.dataset.count))) === r.count,
    "card: how often it fires",
  );
  same(
    check,
    await numbers(p, "[aria-label=excerpts] td.num [data-exact]"),
    r.excerpts.flatMap((f) => [f.value, f.gate]),
    "card: excerpts",
  );
  const values = (f) =>
    [...f.before.map((x) => x.value), f.value, ...f.after.map((x) => x.value)].filter(
      (x) => x !== null,
    );
  same(
    check,
    await numbers(p, "[aria-label=excerpts] .context [data-exact]"),
    r.excerpts.flatMap(values),
    "card: values in context",
  );
  same(
    check,
    await numbers(p, "[aria-label=partners] [data-exact]"),
    r.partners.map((x) => x.lift),
    "card: partners",
  );
  same(
    check,
    await p.$$eval("#view svg[data-counts]", (es) => es.map((e) => e.dataset.counts)),
    [r.gates.counts.join(","), r.values.counts.join(",")],
    "card: histograms",
  );
  same(
    check,
    await p.$$eval("#view p .big[data-exact]", (es) => es.map((e) => e.dataset.exact)),
    [r.agreement, r.written_agreement].map((x) => String(x ?? "")),
    "card: agreements",
  );
  await p.click("[aria-label=excerpts] button.link >> nth=0");
  await t.settled(p);
  check(
    (await current(p)) === "Corpus" && p.url().includes(`place=${r.excerpts[0].position}`),
    "card: an excerpt opens its place",
  );
  await p.goBack();
  await t.settled(p);
  await p.click("[aria-label=partners] button.link >> nth=0");
  await t.settled(p);
  check(
    (await current(p)) === "Neuron" &&
      p.url().includes(`neuron=${layer}.${r.partners[0].channel}.${r.partners[0].index}`),
    "card: a partner opens its card",
  );
  await p.goBack();
  await t.settled(p);
  await p.click("text=on the map");
  await t.settled(p);
  const fires = new Set(
    cli(
      "neighbors",
      recording,
      "--layer",
      layer,
      "--neurons",
      `${channel}:${index}`,
      "-n",
      "1000000",
    ).positions.map((x) => x.position),
  );
  const m = cli("map", recording, "--layer", layer, "--documents", "16");
  check(
    (await p.$eval("#lit", (e) => Number(e.dataset.count))) ===
      m.points.filter((q) => fires.has(q.position)).length,
    "map: circuits in which the neuron fires",
  );
}

/** Nearest circuits of the typed prompt: the command's. */
async function typed(t, p) {
  const { check, cli, run, recording, text } = t;
  await t.open(p, { view: "corpus", layer: "1", pos: "5" });
  const shown = () => numbers(p, "[aria-label='nearest circuits'] [data-exact]");
  const want = (pos, ...more) =>
    cli(
      "neighbors",
      run,
      recording,
      "--prompt",
      text,
      "--pos",
      pos,
      "--layer",
      "1",
      "-n",
      "30",
      ...more,
    ).neighbors.map((x) => x.distance);
  same(check, await shown(), want("5"), "corpus: circuits like the prompt's");
  check(
    (await p.$eval("#query", (e) => e.textContent)).includes("position 5 of the prompt"),
    "corpus: the query is named",
  );
  await p.click(".tok >> nth=9");
  await t.settled(p);
  same(check, await shown(), want("9"), "corpus: a click on a token asks for its circuit");
  await p.selectOption("#corpus-channel", "2");
  await t.settled(p);
  same(
    check,
    await shown(),
    want("9", "--channel", "2"),
    "corpus: one channel of the prompt's circuit",
  );
  await p.click("[aria-label='nearest circuits'] button.link >> nth=0");
  await t.settled(p);
  check(/place=\d+/.test(p.url()), "corpus: a place becomes the query");
  await p.click("text=circuits like that of the prompt here");
  await t.settled(p);
  same(check, await shown(), want("9", "--channel", "2"), "corpus: back to the prompt's circuit");
}

/** The prompt on the map: nearest of the points shown, by the commands. */
async function placed(t, p) {
  const { check, cli, run, recording, text } = t;
  await t.open(p, { view: "map", docs: "16", layer: "1" });
  const rows = await p.$$eval("[aria-label='the prompt on the map'] tbody tr", (rs) =>
    rs.map((r) => Number(r.querySelector("[data-exact]")?.dataset.exact ?? 1)),
  );
  const points = new Set(
    cli("map", recording, "--layer", "1", "--documents", "16").points.map((q) => q.position),
  );
  for (const pos of [0, 4, rows.length - 1]) {
    const near = cli(
      "neighbors",
      run,
      recording,
      "--prompt",
      text,
      "--pos",
      String(pos),
      "--layer",
      "1",
      "-n",
      "1000000",
    ).neighbors.find((x) => points.has(x.position));
    same(
      check,
      rows[pos],
      Math.min(1, near.distance),
      `map: where position ${pos} of the prompt lies`,
    );
  }
  await p.uncheck("#own");
  await t.settled(p);
  check(
    !(await p.$("[aria-label='the prompt on the map']")) && p.url().includes("own=0"),
    "map: the prompt can be taken off it",
  );
  check(
    !(await p.$eval("#view", (e) => e.textContent)).includes("No topics"),
    "map: topics are known",
  );
}

export async function reading(t) {
  const p = await t.page(1280, 720, "light");
  const a = t.cli("attribute", t.run, "--prompt", t.text, "--top", "400");
  const first = a.terms.find((x) => x.kind === "neuron" && x.effect > 0);
  const at = [first.layer, first.channel, first.index].map(String);
  await p.goto(t.url);
  await t.settled(p);
  await strip(t, p, at);
  await card(t, p, at);
  await typed(t, p);
  await placed(t, p);
  await p.close();
}
