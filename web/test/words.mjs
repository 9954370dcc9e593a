// words.mjs: words as targets, what stands behind candidates, texts as they are written: all as the
// commands say; errors stand under their field.
import { exacts } from "./tools.mjs";

const WORD = "zebra crossing";

/** Why a word: its tokens, their sum, one of them, and against another word. */
export async function words({
  page,
  settled,
  open,
  check,
  same,
  near,
  cli,
  exact,
  url,
  text,
  run,
}) {
  const p = await page(1280, 720, "light");
  await p.goto(url);
  await settled(p);
  const ask = (...more) => cli("attribute", run, "--prompt", text, "--top", "400", ...more);
  const a = ask("--target", WORD);
  await open(p, { view: "circuit", target: WORD });
  same(await exact(p, "#target-logit"), a.target_logit, "a word's logits");
  const logits = () => exacts(p, "#parts tbody [data-exact]");
  same(
    await logits(),
    a.phrase.parts.map((x) => x.logit),
    "logits of a word's tokens",
  );
  same(await exact(p, "#parts .note [data-exact]"), a.phrase.target.probability, "its probability");
  check(
    (await p.$eval("#view h2", (e) => e.textContent)).includes("zebra"),
    "the heading names the word",
  );
  const raises = (terms, which) => terms.filter((t) => t.effect > 0 && which(t)).slice(0, 3);
  same(
    await exacts(p, "#answer [data-exact]"),
    [
      ...raises(
        a.total.terms,
        (t) => t.kind !== "bias" && t.position > 0 && t.position <= a.position,
      ),
      ...raises(a.terms, (t) => t.kind === "neuron"),
    ].map((t) => t.effect),
    "what of the text and which neurons raise a word most",
  );
  await p.click("#parts tbody tr:nth-child(2) button");
  await settled(p);
  const two = ask("--target", WORD, "--part", "2");
  same(await exact(p, "#target-logit"), two.target_logit, "the second token of a word");
  await open(p, { view: "circuit", target: WORD, against: "little", effects: "total", rerun: "1" });
  const b = ask("--target", WORD, "--against", "little", "--verify", "10");
  same(await exact(p, "#target-logit"), b.target_logit, "a word against another");
  const shown = await p.$$eval("table", (all) =>
    [...all[all.length > 1 ? 1 : 0].querySelectorAll("tbody tr")].map((r) =>
      [...r.querySelectorAll("[data-exact]")].map((e) => Number(e.dataset.exact)),
    ),
  );
  const up = b.neurons.filter((t) => t.effect > 0).slice(0, 12);
  same(
    shown.map((r) => r.slice(0, 2)),
    up.map((t) => [t.value, t.effect]),
    "neurons for a word, by total effect",
  );
  await open(p, { view: "lens", target: WORD });
  const lens = cli("lens", run, "--prompt", text, "--target", WORD);
  same(
    await exacts(p, "#word-lens tbody td:nth-child(2)[data-exact]"),
    lens.target.layers.map((x) => x.log_probability).reverse(),
    "a word, layer by layer",
  );
  const graph = cli(
    "graph",
    run,
    "--prompt",
    text,
    "--target",
    WORD,
    "--node-threshold",
    "0.6",
    "-o",
    "/dev/null",
  );
  await open(p, { view: "graph", target: WORD });
  same((await p.$$("svg.graph .node")).length, graph.nodes, "nodes of a word's graph");
  same(
    (await p.$$("#story .story-token")).length,
    a.phrase.target.ids.length,
    "the story tells how each token of a word came",
  );
  const n = a.neurons[0];
  const at = `pos=${n.position},channel=${n.channel},neuron=${n.index}`;
  const edit = `layers.${n.layer}.neurons[${at}]*=0`;
  const away = cli("ablate", run, "--prompt", text, "--target", WORD, "--edit", edit);
  await open(p, {
    view: "steer",
    target: WORD,
    edits: `${n.layer}.${n.channel}.${n.index}.${n.position}*0`,
  });
  await p.waitForSelector("#rerun:not([data-exact=''])");
  same(await exact(p, "#rerun"), away.logit_change, "a word without a neuron");
  near(
    [await exact(p, "#linear")],
    [away.linear_change],
    1e-5 * Math.abs(away.linear_change) + 1e-9,
    "a word, gates held",
  );
  await p.close();
}

/** Behind each candidate stands what follows; why asks for all of it. */
export async function candidates({ page, settled, open, check, same, cli, url, text, run }) {
  const p = await page(1280, 720, "light");
  await p.goto(url);
  await settled(p);
  await open(p, { view: "predictions" });
  const { before } = cli("ablate", run, "--prompt", text, "--layer", "0", "-n", "10");
  const shown = await p.$$eval("#candidates tbody tr td:first-child .candidate", (es) =>
    es.map((e) => e.textContent),
  );
  const said = before.map((t) => t.continuation.replaceAll(" ", "·").replaceAll("\n", "↵"));
  same(
    shown.map((t) => t.replace("…", "")),
    said.map((t) => t.replace("…", "")),
    "what stands behind candidates",
  );
  const long = before.findIndex((t) => t.continuation_ids.length > 0);
  if (long >= 0) {
    await p.click(`#candidates tbody tr:nth-child(${long + 1}) button`);
    await settled(p);
    check(
      (await p.inputValue("#box-target")).trim() === before[long].continuation.trim(),
      "why asks for the whole word, by its name",
    );
  }
  await open(p, { view: "circuit" });
  const offered = await p.$("#whole-word button");
  check(
    Boolean(offered) === before[0].continuation_ids.length > 0,
    "the circuit offers the whole word where the likeliest token only begins one",
  );
  if (offered) {
    await p.click("#whole-word button");
    await settled(p);
    check(
      (await p.inputValue("#box-target")).trim() === before[0].continuation.trim(),
      "and asks for it",
    );
  }
  await p.close();
}

/** The text of a panel once it is there. */
async function written(p, id) {
  await p.waitForSelector(`#written-${id}[aria-busy=false]`, { timeout: 60000 });
  return p.$eval(`#written-${id}`, (e) => e.textContent);
}

/** Plain, under edits, along a direction: the command's texts; they come in pieces and stop. */
export async function texts({ page, settled, open, check, same, cli, url, text, run }) {
  const p = await page(1280, 720, "light");
  await p.goto(url);
  await settled(p);
  const ask = (...more) =>
    cli("generate", run, "--prompt", text, "-n", "40", "--seed", "7", ...more).text;
  const own = { seed: "7", most: "40", written: "1" };
  await open(p, { view: "predictions", ...own });
  const plain = ask();
  same(await written(p, "plain"), plain, "the text that the model writes");
  await open(p, { view: "steer", edits: "0.0.3.*3;1.1.5.*0", ...own });
  const edits = [
    "--edit",
    "layers.0.neurons[channel=0,neuron=3]*=3",
    "--edit",
    "layers.1.neurons[channel=1,neuron=5]*=0",
  ];
  same(await written(p, "edited"), ask(...edits), "the text under edits");
  same(await written(p, "plain"), plain, "the plain text beside it");
  const toward = { toward: " dog", away: " the", behind: "1", strength: "30" };
  await open(p, { view: "steer", edits: "0.0.3.*3;1.1.5.*0", ...toward, ...own });
  const along = ["--toward", " dog", "--away", " the", "--layer", "1", "--strength", "30"];
  same(await written(p, "edited"), ask(...edits, ...along), "the text along a direction");
  const steered = cli(
    "steer",
    run,
    "--prompt",
    text,
    "--layer",
    "1",
    ...along.slice(0, 4),
    "-s",
    "30",
    "-n",
    "8",
  );
  await open(p, { view: "steer", edits: "0.0.3.0*1", ...toward });
  await p.waitForSelector("#rerun:not([data-exact=''])");
  const after = await p.$$eval("#view table tbody tr td:nth-child(4)", (es) =>
    es.map((e) => e.textContent.replaceAll("…", "")),
  );
  same(
    after,
    steered.runs[0].after.map((t) => t.continuation.replaceAll(" ", "·").replaceAll("\n", "↵")),
    "predictions along a direction",
  );
  await open(p, { view: "predictions", ...own, most: "512", heat: "0", written: "0" });
  await p.click("#write");
  await p.waitForFunction(() => document.querySelector("#written-plain")?.textContent.length > 0);
  await p.click("#write");
  await p.waitForFunction(() =>
    /stopped|tokens:/.test(document.querySelector("#writing").textContent),
  );
  same(
    await p.$eval("#write", (e) => e.textContent),
    "write on",
    "a stopped text can be begun anew",
  );
  await p.close();
}

/** An error leaves the field as it was typed, and offers what the message names. */
export async function fieldErrors({ page, settled, open, check, same, url }) {
  const p = await page(390, 844, "light");
  await p.goto(url);
  await settled(p);
  for (const view of ["circuit", "graph", "steer"]) {
    await open(p, { view, target: "id:999999", colour: "attribution" });
    await p.waitForSelector("#box-target-error");
    same(await p.inputValue("#box-target"), "id:999999", `${view}: the field keeps what was typed`);
    same(await p.getAttribute("#box-target", "aria-invalid"), "true", `${view}: it is marked`);
    check(await p.$("#strip .tok"), `${view}: the strip stays`);
    await p.fill("#box-target", " dog");
    await p.press("#box-target", "Enter");
    await settled(p);
    check(!(await p.$(".field-error")), `${view}: a mended field says nothing`);
  }
  await open(p, { view: "steer", toward: "zebra crossing" });
  await p.waitForSelector("#box-toward-error button");
  await p.click("#box-toward-error button");
  await settled(p);
  await p.waitForSelector("#rerun:not([data-exact=''])");
  check(!(await p.$(".field-error")), "a token that was offered is taken");
  const wide = await p.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  check(wide <= 0, `an error makes the page ${wide} px too wide`);
  await p.close();
}

/**
 * At 1280 x 720 the drawing has 70 % of the height, in sight, its story under it; tokens stand at
 * both sides of attention's pattern, and a length has few digits.
 */
export async function room({ page, settled, open, check, same, url }) {
  const p = await page(1280, 720, "light");
  await p.goto(url);
  await settled(p);
  for (const target of ["", WORD]) {
    await open(p, { view: "graph", target });
    const r = await p.$eval("svg.graph", (e) => {
      const box = e.getBoundingClientRect();
      return [box.top, Math.min(box.bottom, innerHeight) - box.top];
    });
    check(r[1] >= 0.7 * 720 - 1, `the graph has ${r[1]} of 720 pixels, from ${r[0]} on`);
    const out = await p.$eval("svg.graph", (e) => {
      const box = e.getBoundingClientRect();
      return [...e.querySelectorAll(".mark")]
        .filter((m) => {
          const b = m.getBoundingClientRect();
          return b.left < box.left - 4 || b.right > box.right + 4;
        })
        .map((m) => m.textContent);
    });
    check(!out.length, `labels cut at the edge: ${out}`);
    const told = await p.evaluate(() => {
      const [story, svg] = ["#story", "svg.graph"].map((s) => document.querySelector(s));
      const [a, b] = [story, svg].map((e) => e.getBoundingClientRect());
      return {
        under: a.top >= b.bottom - 1,
        seen: a.top + 18 <= innerHeight,
        text: story.textContent,
      };
    });
    check(told.under && told.seen, `the story stands under the drawing: ${JSON.stringify(told)}`);
  }
  await open(p, { view: "attention" });
  const [rows, columns] = await Promise.all(
    ["rows", "columns"].map((side) =>
      p.$$eval(`.axis-words.${side} .mono`, (es) => es.map((e) => e.textContent)),
    ),
  );
  const tokens = await p.$$eval("#strip .tok", (es) => es.map((e) => e.textContent.slice(0, 13)));
  same(rows, tokens, "attention: tokens stand beside the pattern");
  same(columns, tokens, "attention: and under it");
  await open(p, { view: "predictions" });
  await p.waitForFunction(() => / of length /.test(document.querySelector("#view").textContent));
  const length = await p.$eval("#view", (e) => e.textContent.match(/ of length ([-\d.e]+)/)[1]);
  const digits = length.replace(/e.*|\D/g, "").replace(/^0+/, "").length;
  check(digits <= 3, `the smallest change's length has few digits: ${length}`);
  await p.close();
}
