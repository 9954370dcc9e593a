// tracer.mjs SGATLIN: the folder of `graph --circuit-tracer` in circuit-tracer's own frontend, in
// Chromium. Its files and the three libraries that it loads from elsewhere are not ours: they are
// looked for, and where they are not there the test is skipped and says so.
//   pip install --no-deps circuit-tracer        (or CIRCUIT_TRACER=.../frontend/assets)
//   npm install --no-save --ignore-scripts d3@7 d3-jetpack@2 dagre@0.8.5 pako@2.1.0
//                                               (in web/, or LIBRARIES=.../node_modules)
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { pathToFileURL } from "node:url";

const sgatlin = process.argv[2] ?? "build/sgatlin";
const skip = (why) => {
  console.log(`circuit-tracer's frontend: skipped, ${why}`);
  process.exit(0);
};

function assets() {
  if (process.env.CIRCUIT_TRACER) return process.env.CIRCUIT_TRACER;
  try {
    const find =
      "import importlib.util as u; s = u.find_spec('circuit_tracer'); " +
      "print(s.submodule_search_locations[0] if s else '')";
    const root = execFileSync("python3", ["-c", find], { stdio: ["ignore", "pipe", "ignore"] });
    return String(root).trim() && join(String(root).trim(), "frontend/assets");
  } catch {
    return "";
  }
}
const frontend = assets();
if (!frontend || !existsSync(join(frontend, "index.html")))
  skip("no Python package circuit-tracer here (CIRCUIT_TRACER names its frontend/assets)");
const modules = process.env.LIBRARIES ?? "web/node_modules";
const libraries = {
  "d3.js": "d3/dist/d3.js",
  "jetpack_2024-07-20.js": "d3-jetpack/build/d3-jetpack.cjs",
  "dagre.min.js": "dagre/dist/dagre.min.js",
  "pako.min.js": "pako/dist/pako.min.js",
};
for (const file of Object.values(libraries))
  if (!existsSync(join(modules, file)))
    skip(`${join(modules, file)} is not there (LIBRARIES names another folder)`);
const chrome = process.env.CHROMIUM ?? "/usr/bin/chromium";
if (!existsSync(chrome)) skip(`no browser at ${chrome}`);
const core = join(modules, "playwright-core/index.mjs");
if (!existsSync(core)) skip(`${core} is not there`);
const { chromium } = await import(pathToFileURL(core).href);

const script = (name) => {
  const text = libraries[name] ? readFileSync(join(modules, libraries[name]), "utf8") : "";
  if (!name.startsWith("jetpack")) return text;
  // Made for bundlers and an older D3: its parts of D3 are the page's, and d3.nest is gone.
  return [
    "{ const exports = {}, module = { exports }, require = () => d3;",
    text,
    "for (const [name, value] of Object.entries(module.exports))",
    "  if (!(name in d3)) d3[name] = value;",
    "const { conventions, drawAxis } = module.exports;",
    "d3.conventions = (c) => {",
    "  const made = conventions(c);",
    "  made.drawAxis = (svg) => drawAxis({ ...made, svg: svg ?? made.svg });",
    "  return made;",
    "};",
    "d3.nestBy = (list, key) =>",
    "  Array.from(d3.group(list, key), ([key, part]) => Object.assign(part, { key })); }",
  ].join("\n");
};

// ---- a folder with two graphs, of the tests' small model

const tmp = mkdtempSync(join(tmpdir(), "tracer-"));
const folder = join(tmp, "graphs");
const model = "tests/golden/eval/model";
const cli = (...words) => execFileSync(sgatlin, ["-q", ...words], { encoding: "utf8" });
copyFileSync("tests/golden/bpe/stories.txt", join(tmp, "text.txt")); // tokens stay beside it
cli("record", model, join(tmp, "text.txt"), "-n", "100", "-o", join(tmp, "rec"));
const recording = join(tmp, "rec");
cli("graph", model, "The dog was", "--circuit-tracer", folder, "--recording", recording);
cli("graph", model, "The sky was", "--circuit-tracer", folder, "--slug", "bare");
const graph = JSON.parse(readFileSync(join(folder, "The-dog-was.json")));
const scan = graph.metadata.scan.replace("./graph_data/", "");

// ---- what circuit-tracer's server does: /data/ and /graph_data/ out of the folder, else its own

const types = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
};
const missing = [];
const server = createServer((request, answer) => {
  const path = normalize(decodeURIComponent(request.url.split("?")[0]));
  const own = /^\/(data|graph_data)\/(.*)$/.exec(path);
  const file = own ? join(folder, own[2]) : join(frontend, path === "/" ? "index.html" : path);
  if (!existsSync(file)) {
    if (path !== "/favicon.ico") missing.push(path);
    return answer.writeHead(404).end();
  }
  answer
    .writeHead(200, { "Content-Type": types[extname(file)] ?? "text/plain" })
    .end(readFileSync(file));
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
// By the name under which the frontend asks its authors' host for data where it is not told better.
const address = `http://localhost:${server.address().port}/`;

const problems = [];
const check = (what, good) => {
  if (!good) problems.push(what);
};
const browser = await chromium.launch({ executablePath: chrome, args: ["--no-sandbox"] });
try {
  const page = await browser.newPage({ viewport: { width: 1400, height: 1000 } });
  page.on("pageerror", (e) => problems.push(`error of the page: ${e.message}`));
  // Its libraries come from here under the addresses that it names; nothing else may leave.
  const elsewhere = [];
  await page.route(
    (url) => url.hostname !== "localhost",
    (route) => {
      const url = new URL(route.request().url());
      if (route.request().resourceType() === "script")
        return route.fulfill({
          contentType: "text/javascript",
          body: script(url.pathname.split("/").pop()),
        });
      elsewhere.push(url.href);
      return route.abort();
    },
  );
  await page.goto(address);
  const nodes = page.locator(".link-graph .node");
  await nodes.first().waitFor();
  check(
    `${await nodes.count()} nodes drawn of ${graph.nodes.length}`,
    (await nodes.count()) === graph.nodes.length,
  );
  const options = await page.locator(".graph-prompt-select option").allTextContents();
  check(
    `the list offers ${options.join("; ")}`,
    options.length === 2 && options[0].endsWith("The dog was"),
  );

  // Every neuron: its label, its values, where it fires.
  const neurons = graph.nodes.filter((n) => n.feature_type === "cross layer transcoder");
  for (const n of neurons) {
    await page.goto(`${address}?slug=The-dog-was&clickedId=${n.node_id}`);
    await nodes.first().waitFor();
    await page.locator(".feature-example-logits .token").first().waitFor();
    const file = JSON.parse(readFileSync(join(folder, scan, `${n.feature}.json`)));
    check(`label of ${n.node_id}`, (await page.locator(".pp-clerp").textContent()) === n.clerp);
    const logits = await page.locator(".feature-example-logits .token").allTextContents();
    check(
      `logits of ${n.node_id}`,
      JSON.stringify(logits) === JSON.stringify([...file.top_logits, ...file.bottom_logits]),
    );
    const titles = await page.locator(".quantile-title").allTextContents();
    check(
      `excerpts of ${n.node_id}: ${titles.length} groups`,
      titles.length > 0 &&
        titles.every((t, i) => t.trim() === file.examples_quantiles[i].quantile_name),
    );
    const marked = await page.locator(".feature-example-list .train_token_ind").count();
    const examples = file.examples_quantiles.reduce((sum, q) => sum + q.examples.length, 0);
    check(
      `${marked} of ${examples} excerpts of ${n.node_id} mark their place`,
      marked === examples,
    );
    await page
      .locator(".feature-title", { hasText: /Act: -?[\d.]+ ?(\d+pct)?, Freq: [\d.]+%/ })
      .waitFor();
  }
  // An edge list on click, and a graph without a recording.
  check(
    "inputs and outputs are listed",
    (await page.locator(".node-connections .feature-row").count()) > 0,
  );
  await page.goto(`${address}?slug=bare`);
  await nodes.first().waitFor();
  const bare = JSON.parse(readFileSync(join(folder, "bare.json")));
  check(
    `${await nodes.count()} nodes drawn of ${bare.nodes.length}`,
    (await nodes.count()) === bare.nodes.length,
  );
  const plain = bare.nodes.find((n) => n.feature_type === "cross layer transcoder");
  await page.goto(`${address}?slug=bare&clickedId=${plain.node_id}`);
  await page.locator(".feature-example-logits .token").first().waitFor();
  if (process.env.SHOTS) await page.screenshot({ path: join(process.env.SHOTS, "tracer.png") });
  check(`it asked ${elsewhere.join(", ")}`, !elsewhere.length);
  check(`not there: ${missing.join(", ")}`, !missing.length);
} finally {
  await browser.close();
  server.close();
  rmSync(tmp, { recursive: true });
}
for (const p of problems) console.log(`  ${p}`);
if (problems.length) process.exit(1);
console.log("circuit-tracer's frontend opens the folder");
