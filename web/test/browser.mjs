// browser.mjs RUN REC [SHOTS]: opens every view of a trained run in Chromium, compares numbers with the command line's, runs axe-core, and
// writes pictures to SHOTS. Fails on any console error, refused request or accessibility finding.
import { execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { graphs, names, saving } from "./saving.mjs";

const [run, recording, shots] = process.argv.slice(2), sgatlin = process.env.SGATLIN ?? "build/sgatlin";
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const text = process.env.PROMPT ?? "Once upon a time, there was a little dog named Tom. He liked to play";
const problems = [];
const check = (ok, what) => { if (!ok) { problems.push(what); console.log(`FAIL ${what}`); } };
const cli = (...args) => JSON.parse(execFileSync(sgatlin, [...args, "--json"], { encoding: "utf8", maxBuffer: 1 << 28 }));

const server = spawn(sgatlin, ["-q", "explore", run, "--recording", recording], { stdio: ["ignore", "pipe", "inherit"] });
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

const views = {
  predictions: {}, circuit: {}, "circuit-total": { view: "circuit", effects: "total" }, "circuit-ab": { view: "circuit", against: "id:5" }, graph: {}, attention: { layer: "1" }, lens: {},
  steer: { edits: "0.0.1.3*0;1.0.2.*0.5" }, neuron: { neuron: "1.0.7" }, training: {}, corpus: { find: " dog" }, fires: { view: "corpus", layer: "1", units: "0.3;1.4" }, margin: { view: "predictions", colour: "margin" },
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
  await walking();
  await payloads();
  await rebinding();
  const tools = { page, open, settled, accessible, check, cli, browser, url, text, run, shots, views };
  await saving(tools);
  await graphs(tools);
  await names(tools);
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
