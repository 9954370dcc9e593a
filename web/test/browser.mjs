// browser.mjs RUN REC WORLDS [SHOTS]: opens every view of a trained run in Chromium, compares numbers with the command line's, runs axe-core, and
// writes pictures to SHOTS. Fails on any console error, refused request or accessibility finding.
import { execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { reading } from "./reading.mjs";
import { documents, graphAlone } from "./files.mjs";
import { graphs, names, saving } from "./saving.mjs";

const [run, recording, worlds, shots] = process.argv.slice(2), sgatlin = process.env.SGATLIN ?? "build/sgatlin";
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const text = process.env.PROMPT ?? "Once upon a time, there was a little dog named Tom. He liked to play";
const problems = [];
const check = (ok, what) => { if (!ok) { problems.push(what); console.log(`FAIL ${what}`); } };
const cli = (...args) => JSON.parse(execFileSync(sgatlin, [...args, "--json"], { encoding: "utf8", maxBuffer: 1 << 28 }));

const server = spawn(sgatlin, ["-q", "explore", run, "--recording", recording, "--worlds", worlds], { stdio: ["ignore", "pipe", "inherit"] });
const url = await new Promise((ok) => server.stdout.once("data", (d) => ok(String(d).trim())));
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});

async function page(width, height, scheme) {
  const p = await browser.newPage({ viewport: { width, height }, colorScheme: scheme, reducedMotion: "reduce" });
  p.on("console", (m) => { if (m.type() === "error" || m.type() === "warning") check(false, `console: ${m.text()}`); });
  p.on("pageerror", (e) => check(false, `page: ${e.message}`));
  p.on("request", (r) => check(r.url().startsWith(url.split("#")[0]) || r.url().startsWith("blob:"), `request to ${r.url()}`));
  return p;
}
async function open(p, state) {
  const hash = new URLSearchParams({ text, ...state });
  await p.evaluate((h) => {
    const was = location.href;
    location.hash = h;
    if (location.href !== was) document.querySelector("#view").setAttribute("aria-busy", "true"); // the page hears of it later
  }, hash.toString());
  await settled(p);
}
async function settled(p) {
  await p.waitForFunction(() => document.querySelector("#view").getAttribute("aria-busy") === "false", null, { timeout: 30000 });
  await p.waitForTimeout(250);
}
async function accessible(p, name) {
  // axe is put into an isolated world's page by the debugger, so the page's own policy stays in force.
  await p.evaluate(axe);
  const found = await p.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] }));
  for (const v of found.violations) check(false, `axe, ${name}: ${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.target} ${n.failureSummary}`).join("; ")}`);
}
const exact = (p, selector) => p.$eval(selector, (e) => Number(e.dataset.exact));

const other = "Once upon a time, there was a little cat named Tom. He liked to play";
const all = cli("facts", "patch", run, "--facts", `${worlds}/facts.json`), [clean, counter] = all.prompts.map((p) => p.noun);
const views = {
  map: { docs: "16" }, "map-topic": { view: "map", docs: "16", tint: "topic", eye: "0.5,0.5,2" }, "map-found": { view: "map", docs: "16", tint: "category", seek: "the" },
  "map-lasso": { view: "map", docs: "16", lasso: "0.1,0.1;0.6,0.1;0.6,0.9;0.1,0.9" }, facts: {}, "facts-pair": { view: "facts", pair: `${clean}|${counter}` }, "facts-all": { view: "facts", pair: "all" },
  compare: { other }, "compare-none": { view: "compare" },
  predictions: {}, circuit: {}, "circuit-total": { view: "circuit", effects: "total" }, "circuit-ab": { view: "circuit", against: "id:5" }, graph: {}, attention: { layer: "1" }, lens: {},
  steer: { edits: "0.0.1.3*0;1.0.2.*0.5" }, neuron: { neuron: "1.0.7" }, "neuron-fires": { view: "neuron", neuron: "1.0.7", colour: "neuron", tinted: "1.0.7", quantity: "input" }, "map-lit": { view: "map", docs: "16", layer: "1", lit: "0.7" }, training: {}, corpus: { find: " dog" }, "corpus-typed": { view: "corpus", layer: "1", pos: "9" }, fires: { view: "corpus", layer: "1", units: "0.3;1.4" }, margin: { view: "predictions", colour: "margin" },
  attribution: { view: "predictions", colour: "attribution" },
};
try {
  let first = true;
  for (const [width, height] of [[1280, 720], [390, 844]])
    for (const scheme of ["light", "dark"]) {
      const p = await page(width, height, scheme);
      const t0 = performance.now();
      await p.goto(url);
      await settled(p);
      if (first) {
        const paint = await p.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
        console.log(`first paint ${paint?.toFixed(0)} ms, page ready ${(performance.now() - t0).toFixed(0)} ms`);
        check(paint < 1000, `first paint ${paint} ms`);
        first = false;
      }
      check(!p.url().includes("token="), "the token stays in the address");
      for (const [name, state] of Object.entries(views)) {
        await open(p, { view: name, ...state });
        check(!(await p.$(".error")), `${name}: ${await p.$eval(".error", (e) => e.textContent).catch(() => "")}`);
        const wide = await p.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        check(wide <= 0, `${name}: the page is ${wide} px wider than the window (${width})`);
        if ((width > 1000) === (scheme === "light")) await accessible(p, `${name} ${width} ${scheme}`);
        if (shots) await p.screenshot({ path: `${shots}/${name}-${width}-${scheme}.png` });
      }
      await p.close();
    }
  await numbers();
  await truths();
  await mapped();
  await frames();
  await walking();
  await payloads();
  await rebinding();
  const tools = { page, open, settled, accessible, check, cli, browser, url, text, run, recording, worlds, shots, views };
  await reading(tools);
  await saving(tools);
  await graphs(tools);
  await names(tools);
  await graphAlone(tools);
  await documents({ ...tools, data: `${worlds}/valid.txt` });
} finally {
  await browser.close();
  server.kill("SIGINT");
}

/** What the page shows is what the commands print. */
async function numbers() {
  const p = await page(1280, 720, "light");
  await p.goto(url);
  await settled(p);
  const a = cli("attribute", run, "--prompt", text, "--top", "400");
  await open(p, { view: "circuit" });
  check((await exact(p, "#target-logit")) === a.target_logit, "circuit: the logit differs from the command line's");
  const shown = await p.$$eval("#view tbody td [data-exact]", (es) => es.map((e) => Number(e.dataset.exact)));
  const up = a.terms.filter((t) => t.kind === "neuron" && t.effect > 0).slice(0, 12).flatMap((t) => [t.value, t.effect]);
  check(JSON.stringify(shown.slice(0, up.length)) === JSON.stringify(up), "circuit: neurons differ from the command line's");
  const n = a.neurons[0], edit = `layers.${n.layer}.neurons[pos=${n.position},channel=${n.channel},neuron=${n.index}]*=0`;
  const b = cli("ablate", run, "--prompt", text, "--edit", edit);
  await open(p, { view: "steer", edits: `${n.layer}.${n.channel}.${n.index}.${n.position}*0` });
  await p.waitForSelector("#rerun");
  check((await exact(p, "#rerun")) === b.logit_change, "steer: the rerun differs from the command line's");
  check(Math.abs((await exact(p, "#linear")) + n.effect) < 1e-12, "steer: the linear answer is not the neuron's effect");
  const near = cli("neighbors", recording, "--find", " dog", "-n", "30");
  await open(p, { view: "corpus", find: " dog", layer: "2" });
  const far = await p.$$eval("#view tbody td [data-exact]", (es) => es.map((e) => Number(e.dataset.exact)));
  check(JSON.stringify(far) === JSON.stringify(near.neighbors.map((x) => x.distance)), "nearest circuits differ from the command line's");
  await open(p, { view: "predictions" });
  const probabilities = await p.$$eval("#view tbody td [data-exact]", (es) => es.map((e) => Number(e.dataset.exact)));
  check(JSON.stringify(probabilities.slice(0, 8)) === JSON.stringify(b.before.map((x) => x.probability)), "predictions differ from the command line's");
  await p.close();
}

function exacts(p, selector) { return p.$$eval(selector, (es) => es.map((e) => Number(e.dataset.exact))); }
function same(a, b, what) { check(JSON.stringify(a) === JSON.stringify(b), `${what}: ${JSON.stringify(a).slice(0, 200)}, expected ${JSON.stringify(b).slice(0, 200)}`); }

/** Facts and two prompts: the commands' numbers. */
async function truths() {
  const p = await page(1280, 720, "light");
  await p.goto(url);
  await settled(p);
  await open(p, { view: "facts" });
  await p.selectOption("#clean", clean);
  await settled(p);
  await p.selectOption("#counterfactual", counter);
  await settled(p);
  const sets = await p.$$eval("[aria-label='patched runs by layers'] tbody tr", (rows) => rows.map((r) => r.cells[0].textContent.replaceAll(" ", "")));
  check(sets.length > 2, "facts: there are several choices of layers");
  const b = cli("facts", "patch", run, "--facts", `${worlds}/facts.json`, "--noun", clean, "--noun", counter, "--pairs", ...sets.flatMap((x) => ["--layers", x]));
  const row = (x) => [x.logitdiff_clean, x.logitdiff_counterfactual, x.logitdiff_intervened, x.recovered_effect], rows = b.runs.map((r) => r.pairs.find((x) => x.clean === clean));
  same(await exacts(p, "[aria-label='patched runs by layers'] [data-exact]"), rows.flatMap(row), "facts: a pair");
  same(await p.$$eval("[aria-label='patched runs by layers'] tbody tr", (rs) => rs.map((r) => r.cells[6].textContent === "yes")), rows.map((x) => x.rank_flip), "facts: rank flips");
  await p.click("text=swap");
  await settled(p);
  check((await p.$eval("#clean", (e) => e.value)) === counter, "swap exchanges the nouns");
  await p.click("text=mean of all pairs");
  await settled(p);
  const single = all.runs.filter((r) => r.layers.length === 1).flatMap((r) => row(r.mean));
  same((await exacts(p, "[aria-label='mean of patched runs by layers'] [data-exact]")).slice(0, single.length), single, "facts: means");

  const target = cli("attribute", run, "--prompt", text, "--top", "20000"), second = cli("attribute", run, "--prompt", other, "--top", "20000", "--target", `id:${target.target.id}`);
  await open(p, { view: "compare", other });
  same(await exacts(p, "#view .logit"), [target.target_logit, second.target_logit], "compare: logits");
  const effect = (a) => new Map(a.terms.filter((t) => t.kind === "neuron").map((t) => [`${t.layer} · ${t.channel} · ${t.index}`, t.effect])), [x, y] = [effect(target), effect(second)];
  const names = [...new Set([...x.keys(), ...y.keys()])], d = (k) => (y.get(k) ?? 0) - (x.get(k) ?? 0);
  const most = names.map(d).sort((u, v) => Math.abs(v) - Math.abs(u)).slice(0, 20);
  const shown = await p.$$eval("[aria-label='neurons of both positions'] tbody tr", (rs) => rs.map((r) => [r.cells[0].textContent, Number(r.cells[3].querySelector("[data-exact]").dataset.exact)]));
  same(shown.map((r) => r[1]), most, "compare: differences");
  same(shown.map((r) => d(r[0])), most, "compare: neurons");
  await p.click("#second .tok >> nth=4");
  await settled(p);
  check((await p.$eval("#second .tok[aria-pressed=true]", (e) => e.getAttribute("aria-label"))).includes("position 4"), "compare: a click moves the second position");
  check(p.url().includes("opos=4"), "compare: the second position stands in the address");
  await p.fill("#other", "The dog");
  await p.click("#view button[type=submit]");
  await settled(p);
  check((await p.$$eval("#second .tok", (e) => e.length)) < 6, "compare: another second prompt");
  await p.close();
}

/** The map: the command's points, hover, click, lasso, search. */
async function mapped() {
  const p = await page(1280, 720, "light"), answers = [];
  await p.route("**/api/map", async (r) => {
    const response = await r.fetch(), body = await response.text();
    answers.push(body);
    await r.fulfill({ response, body });
  });
  await p.goto(url);
  await settled(p);
  await open(p, { view: "map", docs: "16", text: "" });
  const points = JSON.parse(answers[0].slice(answers[0].indexOf("data: ", answers[0].indexOf("event: done")) + 6)), m = cli("map", recording, "--layer", "0", "--documents", "16");
  same(points.x, m.points.map((q) => q.x), "map: x");
  same(points.y, m.points.map((q) => q.y), "map: y");
  same(points.position, m.points.map((q) => q.position), "map: places");
  let box = await (await p.$(".map canvas")).boundingBox();
  const at = (x, y) => [box.x + box.width * x, box.y + box.height * y];
  const span = (v) => [Math.min(...v), Math.max(...v)], [x0, x1] = span(points.x), [y0, y1] = span(points.y), side = Math.max(x1 - x0, y1 - y0), unit = 0.94 * Math.min(box.width, box.height);
  const place = (i) => [box.x + box.width / 2 + ((points.x[i] - (x0 + x1) / 2) / side) * unit, box.y + box.height / 2 - ((points.y[i] - (y0 + y1) / 2) / side) * unit];
  await p.mouse.move(...place(7));
  await p.waitForFunction(() => document.querySelector("#tip").textContent.includes("expects"));
  check(await p.$eval("#tip", (e) => !e.hidden && /\d+:\d+/.test(e.textContent)), "map: hover shows the place");
  await p.keyboard.down("Shift");
  await p.mouse.move(...at(0.02, 0.02));
  await p.mouse.down();
  for (const q of [[0.98, 0.02], [0.98, 0.98], [0.02, 0.98], [0.02, 0.1]]) await p.mouse.move(...at(...q), { steps: 8 });
  await p.mouse.up();
  await p.keyboard.up("Shift");
  await settled(p);
  check((await p.$eval("#chosen", (e) => Number(e.dataset.count))) === points.n, "map: a lasso around all chooses all");
  const counts = new Map();
  for (const id of points.input) counts.set(id, (counts.get(id) ?? 0) + 1);
  check((await p.$eval("[aria-label='chosen tokens'] tbody td.num", (e) => Number(e.textContent))) === Math.max(...counts.values()), "map: counts of the chosen tokens");
  check(p.url().includes("lasso="), "map: the lasso stands in the address");
  await p.click("text=choose none");
  await settled(p);
  await p.fill("#seek", "the");
  const found = points.input.filter((id) => (points.tokens.find((t) => t.id === id).token ?? "").toLowerCase().includes("the")).length;
  check(parseInt(await p.$eval("#found", (e) => e.textContent)) === found && found > 0, "map: search finds the tokens");
  await p.focus(".map canvas");
  await p.keyboard.press("+");
  await p.keyboard.press("ArrowLeft");
  await p.waitForTimeout(250);
  const eye = new URLSearchParams(p.url().split("#")[1]).get("eye").split(",").map(Number);
  check(eye[2] === 1.25 && eye[0] < 0.5, `map: keys move and zoom (${eye})`);
  await p.keyboard.press("0");
  await p.waitForTimeout(200);
  box = await (await p.$(".map canvas")).boundingBox();
  await p.mouse.click(...place(7));
  await settled(p);
  check((await p.$eval("[aria-current=page]", (e) => e.textContent)) === "Corpus" && /place=\d+/.test(p.url()), "map: a click opens the corpus");
  await p.goBack();
  await settled(p);
  check((await p.$eval("[aria-current=page]", (e) => e.textContent)) === "Map", "map: back returns");
  // A map that takes long can be stopped.
  await open(p, { view: "predictions" });
  await p.route("**/api/map", () => {});
  await p.evaluate(() => { location.hash = "view=map&docs=16&layer=1"; });
  await p.waitForTimeout(300);
  check((await p.$eval("#view", (e) => e.textContent)).includes("reading"), "map: says that it works");
  await p.close();
}

/** 50,000 points made here and given in place of the server's: frames while the map moves and zooms. */
async function frames() {
  const p = await page(1280, 720, "light"), n = 50000, column = (f) => Array.from({ length: n }, (_, i) => f(i));
  let seed = 1;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  const made = { layer: 0, channel: -1, by: "input", n, seconds: 1, labels: [], tokens: column((i) => i).slice(0, 60).map((id) => ({ id, token: ` t${id}`, category: null })), topics: null,
    x: column((i) => (i % 60) % 8 + random()), y: column((i) => Math.floor((i % 60) / 8) + random()), label: column((i) => i % 60), position: column((i) => i % 100), document: column(() => 0), place: column((i) => i % 100), input: column((i) => i % 60), target: column((i) => (i * 7) % 60), topic: column(() => -1) };
  await p.goto(url);
  await settled(p);
  await p.route("**/api/map", (r) => r.fulfill({ status: 200, contentType: "text/event-stream", body: `event: done\ndata: ${JSON.stringify(made)}\n\n` }));
  await open(p, { view: "map", docs: "0", text: "" });
  const run = await p.evaluate(async () => {
    const c = document.querySelector(".map canvas"), r = c.getBoundingClientRect(), times = [], draws = [], x = r.left + r.width / 2, y = r.top + r.height / 2;
    const send = (kind, dx) => c.dispatchEvent(new PointerEvent(kind, { pointerId: 1, clientX: x + dx, clientY: y + dx / 2, bubbles: true }));
    const frame = () => new Promise(requestAnimationFrame);
    send("pointerdown", 0);
    for (let i = 0; i < 240; i++) {
      if (i < 120) send("pointermove", 100 * Math.sin(i / 9));
      else {
        if (i === 120) send("pointerup", 0);
        c.dispatchEvent(new WheelEvent("wheel", { deltaY: i % 60 < 30 ? -20 : 20, clientX: x, clientY: y, cancelable: true }));
      }
      times.push(await frame());
      draws.push(Number(c.dataset.draw));
    }
    return { gaps: times.slice(1).map((t, i) => t - times[i]), draws };
  });
  const at = (list, q) => [...list].sort((a, b) => a - b)[Math.floor(q * (list.length - 1))].toFixed(1);
  const seconds = run.gaps.reduce((a, b) => a + b, 0) / 1000;
  console.log(`50,000 points: ${(run.gaps.length / seconds).toFixed(1)} frames a second; between frames median ${at(run.gaps, 0.5)} ms, 95 % ${at(run.gaps, 0.95)} ms; drawing median ${at(run.draws, 0.5)} ms, 95 % ${at(run.draws, 0.95)} ms`);
  check(at(run.draws, 0.5) < 16.7, `50,000 points take ${at(run.draws, 0.5)} ms to draw: under 60 frames a second`);
  if (shots) await p.screenshot({ path: `${shots}/map-50000.png` });
  await p.close();
}

/** Keys, clicks, back and forward. */
async function walking() {
  const p = await page(1280, 720, "light");
  await p.goto(url);
  await settled(p);
  await p.keyboard.press("/");
  await p.keyboard.type(text);
  await p.keyboard.press("Enter");
  await settled(p);
  await p.waitForSelector(".tok");
  const count = await p.$$eval(".tok", (e) => e.length);
  await p.click(".tok >> nth=3");
  await settled(p);
  check((await p.$eval(".tok[aria-pressed=true]", (e) => e.dataset.pos)) === "3", "a click locks the position");
  await p.keyboard.press("ArrowRight");
  await settled(p);
  check((await p.$eval(".tok[aria-pressed=true]", (e) => e.dataset.pos)) === "4", "the arrow key moves the position");
  await p.keyboard.press("2");
  await settled(p);
  check((await p.$eval("[aria-current=page]", (e) => e.textContent)) === "Circuit", "key 2 opens the circuit");
  await p.click("#view td button.link >> nth=0");
  await settled(p);
  check((await p.$eval("[aria-current=page]", (e) => e.textContent)) === "Neuron", "a neuron opens its card");
  await p.goBack();
  await settled(p);
  check((await p.$eval("[aria-current=page]", (e) => e.textContent)) === "Circuit", "back returns to the circuit");
  await p.goBack();
  await settled(p);
  await p.goBack();
  await settled(p);
  check((await p.$eval(".tok[aria-pressed=true]", (e) => e.dataset.pos)) === "3", "back returns to the position");
  await p.goForward();
  await settled(p);
  check((await p.$eval(".tok[aria-pressed=true]", (e) => e.dataset.pos)) === "4", "forward too");
  await p.hover(".tok >> nth=2");
  check(await p.$eval("#tip", (e) => !e.hidden && e.textContent.includes("position 2")), "hover shows predictions");
  await p.keyboard.press("?");
  check(await p.$eval("#help", (e) => e.open), "? opens the help");
  await p.keyboard.press("Escape");
  check(!(await p.$eval("#help", (e) => e.open)), "Escape closes the help");
  await open(p, { view: "graph" });
  await p.click("#save-button");
  const [json] = await Promise.all([p.waitForEvent("download"), p.click("#export button >> text=JSON")]);
  const calls = JSON.parse(readFileSync(await json.path(), "utf8")).calls.map((x) => x.call);
  check(calls.includes("graph") && calls.includes("predict"), `the saved view holds its calls: ${calls}`);
  check(count > 5, "the strip has tokens");
  await p.close();
}

/** 100 texts that would run as scripts if they were markup anywhere. */
async function payloads() {
  const p = await page(1280, 720, "light");
  p.on("dialog", (d) => { check(false, "a prompt ran as script"); d.dismiss(); });
  await p.goto(url);
  await settled(p);
  const cores = ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg onload=alert(1)>", "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href=javascript:alert(1)>x</a>", "<style>@import 'http://evil.example'</style>", "<base href=http://evil.example>", "<form action=http://evil.example><input autofocus onfocus=alert(1)>",
    "<math><mtext></table></math><img src onerror=alert(1)>", "javascript:alert(1)"];
  const around = [(x) => x, (x) => `"${x}`, (x) => `'>${x}`, (x) => `</textarea>${x}`, (x) => `</title>${x}`, (x) => `-->${x}`, (x) => `&lt;${x}`, (x) => `]]>${x}`, (x) => `{{${x}}}`, (x) => `\n\n${x}\n`];
  for (const [i, text] of around.flatMap((f) => cores.map(f)).entries()) {
    await p.evaluate((h) => { location.hash = h; }, new URLSearchParams({ view: i % 10 ? "predictions" : "circuit", text, target: "" }).toString());
    await p.waitForTimeout(20);
    await p.waitForFunction(() => document.querySelector("#view").getAttribute("aria-busy") === "false", null, { timeout: 30000 });
    const bad = await p.$$eval("main img, main script, main iframe, main style, main base, main a[href], main math", (e) => e.length);
    check(bad === 0, `a prompt became markup: ${text}`);
  }
  await p.close();
}

/** A name of somebody else's that leads here is refused, page and calls. */
async function rebinding() {
  const port = new URL(url).port;
  const other = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--host-resolver-rules=MAP evil.example 127.0.0.1"] });
  const p = await other.newPage();
  const r = await p.goto(`http://evil.example:${port}/`);
  check(r.status() === 421, `another name is answered with ${r.status()}`);
  const call = await p.evaluate((u) => fetch(u, { headers: { "X-Sgatlin-Token": "0".repeat(32) } }).then((x) => x.status, () => 0), "/api/info");
  check(call === 421, `a call by another name is answered with ${call}`);
  const across = await p.evaluate((u) => fetch(u, { method: "POST", headers: { "Content-Type": "text/plain" }, body: "{}" }).then((x) => x.type, () => "refused"), `http://127.0.0.1:${port}/api/predict`);
  check(across === "refused", `a call across sites is ${across}`);
  await other.close();
}

if (problems.length) {
  console.log(`${problems.length} problems`);
  process.exit(1);
}
console.log("the page works");
