// numbers.mjs: what the page shows is what the commands print.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exacts } from "./tools.mjs";

/** What the page shows is what the commands print. */
export async function numbers({
  page,
  settled,
  open,
  check,
  near,
  cli,
  exact,
  url,
  text,
  run,
  recording,
}) {
  const p = await page(1280, 720, "light");
  await p.goto(url);
  await settled(p);
  const a = cli("attribute", run, "--prompt", text, "--top", "400", "--true");
  await open(p, { view: "circuit" });
  check(
    (await exact(p, "#target-logit")) === a.target_logit,
    "circuit: the logit differs from the command line's",
  );
  const shown = await p.$$eval("#view tbody td [data-exact]", (es) =>
    es.map((e) => Number(e.dataset.exact)),
  );
  const up = a.terms
    .filter((t) => t.kind === "neuron" && t.effect > 0)
    .slice(0, 12)
    .flatMap((t) => [t.value, t.effect, t.true_effect]);
  check(
    JSON.stringify(shown.slice(0, up.length)) === JSON.stringify(up),
    "circuit: neurons differ from the command line's",
  );
  const n = a.neurons[0];
  const at = `pos=${n.position},channel=${n.channel},neuron=${n.index}`;
  const edit = `layers.${n.layer}.neurons[${at}]*=0`;
  const b = cli("ablate", run, "--prompt", text, "--edit", edit);
  await open(p, { view: "steer", edits: `${n.layer}.${n.channel}.${n.index}.${n.position}*0` });
  await p.waitForSelector("#rerun:not([data-exact=''])");
  check(
    (await exact(p, "#rerun")) === b.logit_change,
    "steer: the rerun differs from the command line's",
  );
  near(
    [await exact(p, "#linear")],
    [-n.effect],
    1e-5 * Math.abs(n.effect),
    "steer: the linear answer is the neuron's effect",
  );
  const nearest = cli("neighbors", recording, "--find", " dog", "-n", "30");
  await open(p, { view: "corpus", find: " dog", layer: "2" });
  const far = await p.$$eval("#view tbody td [data-exact]", (es) =>
    es.map((e) => Number(e.dataset.exact)),
  );
  check(
    JSON.stringify(far) === JSON.stringify(nearest.neighbors.map((x) => x.distance)),
    "nearest circuits differ from the command line's",
  );
  await open(p, { view: "training" });
  const curves = await p.$$eval("#view svg.chart", (charts) =>
    charts.map((c) => {
      const on = [...c.querySelectorAll("path")].flatMap((q) =>
        (q.getAttribute("d").match(/-?[\d.]+,-?[\d.]+/g) ?? []).map((v) =>
          v.split(",").map(Number),
        ),
      );
      return [...c.querySelectorAll("circle")].map((q) =>
        Math.min(
          ...on.map(([x, y]) => Math.hypot(x - q.getAttribute("cx"), y - q.getAttribute("cy"))),
        ),
      );
    }),
  );
  check(
    curves.length > 3 && curves.every((far) => far.length && far.every((d) => d < 0.01)),
    `training: curves go through their points: ${JSON.stringify(curves)}`,
  );
  await open(p, { view: "predictions" });
  const probabilities = await p.$$eval("#view tbody td [data-exact]", (es) =>
    es.map((e) => Number(e.dataset.exact)),
  );
  check(
    JSON.stringify(probabilities.slice(0, 8)) ===
      JSON.stringify(b.before.map((x) => x.probability)),
    "predictions differ from the command line's",
  );
  await p.close();
}

/** Facts and two prompts: the commands' numbers. */
export async function truths({
  page,
  settled,
  open,
  check,
  same,
  cli,
  url,
  text,
  other,
  run,
  worlds,
  clean,
  counter,
  all,
}) {
  const p = await page(1280, 720, "light");
  await p.goto(url);
  await settled(p);
  await open(p, { view: "facts" });
  await p.selectOption("#clean", clean);
  await settled(p);
  await p.selectOption("#counterfactual", counter);
  await settled(p);
  const sets = await p.$$eval("[aria-label='patched runs by layers'] tbody tr", (rows) =>
    rows.map((r) => r.cells[0].textContent.replaceAll(" ", "")),
  );
  check(sets.length > 2, "facts: there are several choices of layers");
  const b = cli(
    "facts",
    "patch",
    run,
    "--facts",
    `${worlds}/facts.json`,
    "--noun",
    clean,
    "--noun",
    counter,
    "--pairs",
    ...sets.flatMap((x) => ["--layers", x]),
  );
  const row = (x) => [
    x.logitdiff_clean,
    x.logitdiff_counterfactual,
    x.logitdiff_intervened,
    ...(x.correct_clean && x.correct_counterfactual ? [x.recovered_effect] : []),
  ];
  const rows = b.runs.map((r) => r.pairs.find((x) => x.clean === clean));
  same(
    await exacts(p, "[aria-label='patched runs by layers'] [data-exact]"),
    rows.flatMap(row),
    "facts: a pair",
  );
  same(
    await p.$$eval("[aria-label='patched runs by layers'] tbody tr", (rs) =>
      rs.map((r) => r.cells[6].textContent === "yes"),
    ),
    rows.map((x) => x.rank_flip),
    "facts: rank flips",
  );
  await p.click("text=swap");
  await settled(p);
  check((await p.$eval("#clean", (e) => e.value)) === counter, "swap exchanges the nouns");
  await p.click('text="all pairs"');
  await settled(p);
  const single = all.runs
    .filter((r) => r.layers.length === 1)
    .flatMap((r) => [
      r.known.logitdiff_clean,
      r.known.logitdiff_intervened,
      r.known.recovered_effect,
      r.known.median_recovered,
      r.mean.recovered_effect,
    ]);
  same(
    (await exacts(p, "[aria-label='all patched runs by layers'] [data-exact]")).slice(
      0,
      single.length,
    ),
    single,
    "facts: all pairs",
  );

  const target = cli("attribute", run, "--prompt", text, "--top", "20000");
  const second = cli(
    "attribute",
    run,
    "--prompt",
    other,
    "--top",
    "20000",
    "--target",
    `id:${target.target.id}`,
  );
  await open(p, { view: "compare", other });
  same(
    await exacts(p, "#view .logit"),
    [target.target_logit, second.target_logit],
    "compare: logits",
  );
  const effect = (a) =>
    new Map(
      a.terms
        .filter((t) => t.kind === "neuron")
        .map((t) => [`${t.layer} · ${t.channel} · ${t.index}`, t.effect]),
    );
  const [x, y] = [effect(target), effect(second)];
  const names = [...new Set([...x.keys(), ...y.keys()])];
  const d = (k) => (y.get(k) ?? 0) - (x.get(k) ?? 0);
  const most = names
    .map(d)
    .sort((u, v) => Math.abs(v) - Math.abs(u))
    .slice(0, 20);
  const shown = await p.$$eval("[aria-label='neurons of both positions'] tbody tr", (rs) =>
    rs.map((r) => [
      r.cells[0].querySelector("button").textContent,
      Number(r.cells[3].querySelector("[data-exact]").dataset.exact),
    ]),
  );
  same(
    shown.map((r) => r[1]),
    most,
    "compare: differences",
  );
  same(
    shown.map((r) => d(r[0])),
    most,
    "compare: neurons",
  );
  await p.click("#second .tok >> nth=4");
  await settled(p);
  check(
    (
      await p.$eval("#second .tok[aria-pressed=true]", (e) => e.getAttribute("aria-label"))
    ).includes("position 4"),
    "compare: a click moves the second position",
  );
  check(p.url().includes("opos=4"), "compare: the second position stands in the address");
  await p.fill("#other", "The dog");
  await p.click("#view button[type=submit]");
  await settled(p);
  check((await p.$$eval("#second .tok", (e) => e.length)) < 6, "compare: another second prompt");
  await p.close();
}

/** Several sliders: gates held is the command's answer and no mere sum; sliders move it at once. */
export async function steering({ page, settled, open, check, near, cli, exact, url, text, run }) {
  const a = cli("attribute", run, "--prompt", text, "--top", "400");
  const list = a.neurons.slice(0, 6);
  const factors = [0, 0.5, -1, 2, 0, 3];
  const p = await page(1280, 720, "light");
  await p.goto(url);
  await settled(p);
  const asked = (fs) =>
    list
      .map((n, i) => `${n.layer}.${n.channel}.${n.index}.${i === 1 ? "" : n.position}*${fs[i]}`)
      .join(";");
  const command = (fs) =>
    cli(
      "ablate",
      run,
      "--prompt",
      text,
      ...list.flatMap((n, i) => {
        const at = `channel=${n.channel},neuron=${n.index}`;
        const place = i === 1 ? at : `pos=${n.position},${at}`;
        return ["--edit", `layers.${n.layer}.neurons[${place}]*=${fs[i]}`];
      }),
    );
  await open(p, { view: "steer", edits: asked(factors) });
  await p.waitForSelector("#rerun:not([data-exact=''])");
  const b = command(factors);
  const scale = 1e-5 * (1 + Math.abs(b.linear_change));
  near([await exact(p, "#linear")], [b.linear_change], scale, "steer: gates held, several sliders");
  near(
    [await exact(p, "#rerun"), await exact(p, "#rerouting")],
    [b.logit_change, b.logit_change - b.linear_change],
    scale,
    "steer: the true rerun beside it",
  );
  check(
    Math.abs((await exact(p, "#alone")) - b.linear_change) > 10 * scale,
    "steer: what each does alone does not add up",
  );
  await p.$eval("#s0", (e) => {
    e.value = "1.5";
    e.dispatchEvent(new Event("input", { bubbles: true }));
  });
  near(
    [await exact(p, "#linear")],
    [command([1.5, ...factors.slice(1)]).linear_change],
    scale,
    "steer: a slider moves the answer at once",
  );
  await p.$eval("#s0", (e) => e.dispatchEvent(new Event("change", { bubbles: true })));
  check(
    new URLSearchParams(new URL(p.url()).hash.slice(1)).get("edits").includes("*1.5"),
    "steer: the slider stands in the address",
  );
  await p.close();
}

/** Tensors of a safetensors file: name to numbers. */
function tensors(path) {
  const b = readFileSync(path);
  const n = Number(b.readBigUInt64LE(0));
  const head = JSON.parse(b.toString("utf8", 8, 8 + n));
  return (name) => {
    const {
      data_offsets: [from, to],
      shape,
    } = head[name];
    const part = Uint8Array.from(b.subarray(8 + n + from, 8 + n + to));
    return { data: new Float32Array(part.buffer), shape };
  };
}
/** Logits of rows of the stream by the final norm and the tied output head, in double. */
function headOf(run) {
  const dir = join(
    run,
    "checkpoints",
    readFileSync(join(run, "checkpoints/latest"), "utf8").trim(),
  );
  const get = tensors(join(dir, "model.safetensors"));
  const config = JSON.parse(readFileSync(join(dir, "config.json"), "utf8"));
  const E = get("model.embed_tokens.weight").data;
  const g = get("model.norm.weight").data;
  const D = config.hidden_size;
  return (x) => {
    const r = 1 / Math.sqrt(x.reduce((s, v) => s + v * v, 0) / D + config.rms_norm_eps);
    const y = x.map((v, d) => v * r * g[d]);
    const z = Array.from({ length: config.vocab_size }, (_, v) =>
      y.reduce((s, u, d) => s + u * E[v * D + d], 0),
    );
    const most = Math.max(...z);
    const all = z.reduce((s, v) => s + Math.exp(v - most), 0);
    return z.map((v) => Math.exp(v - most) / all);
  };
}

/**
 * Attention, margins and inner layers of the lens: numbers of sgatlin trace and sgatlin margins.
 */
export async function inner({
  page,
  settled,
  open,
  check,
  near,
  same,
  cli,
  command,
  url,
  text,
  run,
}) {
  const dir = mkdtempSync(join(tmpdir(), "sgatlin-trace-"));
  const m = cli("margins", run, "--prompt", text);
  const ids = m.tokens.map((t) => t.id);
  const T = ids.length;
  // targets: the begin token goes in front
  writeFileSync(join(dir, "ids.json"), JSON.stringify([[...ids.slice(1), 5]]));
  command(
    "-q",
    "trace",
    run,
    "--ids",
    join(dir, "ids.json"),
    "--only",
    "*.attn.pattern",
    "--only",
    "*.resid_post",
    "-o",
    join(dir, "t.safetensors"),
  );
  const get = tensors(join(dir, "t.safetensors"));
  const layers = m.layers.length;
  const p = await page(1280, 720, "light");
  await p.goto(url);
  await settled(p);
  for (let layer = 0; layer < layers; layer++) {
    const {
      data,
      shape: [, , H],
    } = get(`layers.${layer}.attn.pattern`);
    const row = (h) =>
      Array.from(data.subarray(((T - 1) * H + h) * T, ((T - 1) * H + h + 1) * T))
        .sort((a, b) => b - a)
        .slice(0, 10);
    for (let head = 0; head < H; head++) {
      await open(p, { view: "attention", layer: String(layer), head: String(head) });
      near(
        await exacts(p, "[aria-label='attention weights'] [data-exact]"),
        row(head),
        2e-6,
        `attention of layer ${layer}, head ${head}`,
      );
    }
  }
  await open(p, { view: "predictions", colour: "margin" });
  const shown = await p.$$eval(".tok[data-value]", (es) => es.map((e) => Number(e.dataset.value)));
  const weakest = ids.map((_, t) =>
    m.layers
      .flatMap((l) => l[t])
      .reduce((a, b) => (b.distance / b.stream < a.distance / a.stream ? b : a)),
  );
  near(
    shown,
    weakest.map((w) => w.distance / w.stream),
    1e-9,
    "margins of the strip",
  );
  check(
    (await p.$eval("#view", (e) => e.textContent)).includes(
      `choose neuron ${weakest[T - 1].wins} in place of ${weakest[T - 1].loses}`,
    ),
    "the weakest choice of neurons",
  );
  await open(p, { view: "lens" });
  const rows = await p.$$eval(".lens tbody tr", (es) =>
    es.map((r) => [...r.querySelectorAll("[data-exact]")].map((e) => Number(e.dataset.exact))),
  );
  const head = headOf(run);
  for (let layer = 0; layer < layers; layer++) {
    const { data, shape } = get(`layers.${layer}.resid_post`);
    const D = shape[shape.length - 1];
    near(
      rows[layers - 1 - layer],
      ids.map((_, t) => Math.max(...head(Array.from(data.subarray(t * D, (t + 1) * D))))),
      2e-5,
      `lens after layer ${layer}`,
    );
  }
  same(rows.length, layers + 1, "lens: rows");
  rmSync(dir, { recursive: true });
  await p.close();
}
