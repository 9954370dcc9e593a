// saving.mjs: views saved as SVG, JSON and HTML; saved graphs, groups and names. Called by
// browser.mjs.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

async function download(p, kind) {
  await p.click("#save-button");
  const [d] = await Promise.all([
    p.waitForEvent("download"),
    p.click(`#export button >> text=${kind}`),
  ]);
  await p.keyboard.press("Escape");
  return d;
}
const numbers = (p) =>
  p.$$eval("#view [data-exact], #strip [data-value]", (es) =>
    es.map((e) => e.dataset.exact ?? e.dataset.value),
  );
const words = (p) => p.$eval("#view", (e) => e.textContent.replace(/\d+(\.\d+)? ms/, "").length);

/**
 * Every view in the three forms; the HTML is opened from disk without a network and shows the same
 * numbers.
 */
export async function saving({
  page,
  open,
  settled,
  accessible,
  check,
  browser,
  url,
  shots,
  views,
}) {
  const dir = mkdtempSync(join(tmpdir(), "sgatlin-page-"));
  const offline = await browser.newContext({
    offline: true,
    viewport: { width: 1280, height: 720 },
    reducedMotion: "reduce",
  });
  const p = await page(1280, 720, "light");
  await p.goto(url);
  await settled(p);
  let largest = 0;
  for (const [name, state] of Object.entries(views)) {
    await open(p, { view: name, ...state });
    if (name === "circuit-total") {
      await p.click("text=run again without the 10 largest");
      await settled(p);
    }
    const svg = readFileSync(await (await download(p, "SVG")).path(), "utf8");
    const drawn = await p.evaluate((text) => {
      const d = new DOMParser().parseFromString(text, "image/svg+xml");
      return {
        bad: d.querySelectorAll("parsererror, foreignObject, script").length,
        texts: d.querySelectorAll("text").length,
        vars: text.includes("var("),
      };
    }, svg);
    check(
      !drawn.bad && drawn.texts > 5 && !drawn.vars,
      `${name}: the SVG stands on its own: ${JSON.stringify(drawn)}`,
    );
    const json = JSON.parse(readFileSync(await (await download(p, "JSON")).path(), "utf8"));
    check(
      (json.calls.length > 0 || name === "start") &&
        json.calls.every((c) => c.call && c.request && c.answer),
      `${name}: JSON holds the calls`,
    );
    const file = join(dir, `${name}.html`);
    const wanted = await numbers(p);
    const length = await words(p);
    await (await download(p, "HTML")).saveAs(file);
    const html = readFileSync(file, "utf8");
    largest = Math.max(largest, html.length);
    check(html.length < 2e6, `${name}: the HTML file has ${html.length} bytes`);
    check(!/https?:\/\/(?!www\.w3\.org)/.test(html), `${name}: the HTML file names a host`);
    const q = await offline.newPage();
    q.on("console", (m) => {
      if (m.type() === "error" || m.type() === "warning")
        check(false, `${name}, saved: console: ${m.text()}`);
    });
    q.on("pageerror", (e) => check(false, `${name}, saved: ${e.message}`));
    q.on("request", (r) =>
      check(/^(file|data|blob):/.test(r.url()), `${name}, saved: request to ${r.url()}`),
    );
    await q.goto(`file://${file}`);
    await settled(q);
    check(
      !(await q.$(".error")),
      `${name}, saved: ${await q.$eval(".error", (e) => e.textContent).catch(() => "")}`,
    );
    check(
      JSON.stringify(await numbers(q)) === JSON.stringify(wanted),
      `${name}: the saved page shows other numbers`,
    );
    check(
      Math.abs((await words(q)) - length) < 40,
      `${name}: the saved page shows ${await words(q)} characters, not ${length}`,
    );
    if (["graph", "circuit", "steer"].includes(name)) await accessible(q, `${name}, saved`);
    if (shots) await q.screenshot({ path: `${shots}/${name}-saved.png` });
    await q.close();
  }
  console.log(`saved pages: at most ${largest} bytes`);
  await p.click("#save-button");
  await accessible(p, "what to save");
  if (shots) await p.screenshot({ path: `${shots}/save.png` });
  await p.keyboard.press("Escape");
  await open(p, { view: "circuit", static: "1" });
  const controls = await p.$$eval(
    "input, select, textarea, #tabs button, button.small, #save-button",
    (es) => es.filter((e) => e.getClientRects().length).length,
  );
  check(controls === 0, `${controls} controls in a view without controls`);
  check(
    (await p.$$eval("#view table tbody tr", (e) => e.length)) > 10,
    "the view without controls is there",
  );
  await accessible(p, "without controls");
  if (shots) await p.screenshot({ path: `${shots}/static.png` });
  await p.goto(`${url.split("#")[0]}?static=1#view=graph`);
  await settled(p);
  check(
    await p.evaluate(() => document.body.classList.contains("static")),
    "static=1 in front of # works too",
  );
  await p.close();
  await offline.close();
  rmSync(dir, { recursive: true });
}

/** A graph of n nodes and m edges over 8 layers and 60 positions. */
function large(n, m) {
  let seed = 7;
  const random = (k) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return Math.floor((seed / 2 ** 32) * k);
  };
  const tokens = Array.from({ length: 60 }, (_, id) => ({ id, text: ` word${id}` }));
  const nodes = [
    ...tokens.map((token, position) => ({
      kind: "token",
      layer: -1,
      position,
      token,
      influence: 0.001,
      cumulative: 0.5,
    })),
    ...Array.from({ length: n - 62 }, (_, i) => ({
      kind: "neuron",
      layer: Math.floor((8 * i) / (n - 62)),
      position: random(60),
      channel: i % 8,
      index: i,
      value: random(7) - 3,
      input: 1,
      edges_sum: 1,
      edges_abs: 1,
      influence: random(1000) / 1e6,
      cumulative: 0.5,
    })),
    ...[1, 2].map((id) => ({
      kind: "logit",
      layer: 8,
      position: 59,
      token: { id, text: ` out${id}` },
      probability: 0.4,
      input: 1,
      edges_sum: 1,
      edges_abs: 1,
      influence: 0.1,
      cumulative: 0.1,
    })),
  ];
  const edges = Array.from({ length: m }, () => {
    const b = 61 + random(n - 61);
    return [random(b - 1), b, (random(2000) - 1000) / 500 + 0.0005];
  });
  return {
    tokens,
    position: 59,
    all_nodes: 3 * n,
    explored: n,
    node_share: 0.9,
    edge_share: 0.98,
    input_share: 0.5,
    worst_residue: 1e-7,
    nodes,
    edges,
  };
}

/** Saved graphs open quickly, ours and those of the command; damaged ones say so. */
export async function graphs({
  page,
  open,
  settled,
  accessible,
  check,
  quick,
  cli,
  url,
  text,
  run,
  shots,
}) {
  const dir = mkdtempSync(join(tmpdir(), "sgatlin-graph-"));
  const file = join(dir, "g.json");
  const p = await page(1280, 720, "light");
  await p.goto(url);
  await settled(p);
  await open(p, { view: "graph", text: "" });
  const shown = async (path) => {
    await p.setInputFiles("#open-graph", path);
    await settled(p);
    return p.$$eval(".graph .node", (e) => e.length);
  };
  writeFileSync(file, JSON.stringify(large(2000, 60000)));
  const times = [];
  for (let k = 0; k < 3; k++) {
    // the best of three: other work runs on the machine too
    await open(p, { view: "graph", text: "" });
    await p.evaluate(() => {
      window.took = 0;
      document.getElementById("open-graph").addEventListener(
        "change",
        () => {
          const from = performance.now();
          const look = () =>
            document.querySelectorAll(".graph .node").length === 2000
              ? requestAnimationFrame(() => {
                  window.took = performance.now() - from;
                })
              : setTimeout(look, 1);
          look();
        },
        { capture: true },
      );
    });
    check((await shown(file)) === 2000, "a graph of 2,000 nodes opens");
    await p.waitForFunction(() => window.took > 0);
    times.push(await p.evaluate(() => window.took));
  }
  const took = Math.min(...times);
  console.log(
    "graph of 2,000 nodes and 60,000 edges opens in " +
      `${times.map((t) => t.toFixed(0)).join(", ")} ms`,
  );
  quick(took < 500, `a graph of 2,000 nodes takes ${took} ms`);
  const merged = new Map();
  for (const [a, b, w] of large(2000, 60000).edges)
    merged.set(`${a} ${b}`, (merged.get(`${a} ${b}`) ?? 0) + w);
  check(merged.size > 50000, `the graph has ${merged.size} different edges`);
  const weights = [...merged.values()].map(Math.abs).sort((a, b) => b - a);
  const sum = (x) => x.reduce((a, w) => a + w, 0);
  const share = sum(weights.slice(0, 4000)) / sum(weights);
  const said = await p.$eval("#graph-share", (e) => [Number(e.dataset.share), e.textContent]);
  check(
    Math.abs(said[0] - share) < 1e-9 && said[1].includes("4,000 strongest are drawn"),
    `the share of the weight drawn is told: ${said}, expected ${share}`,
  );
  if (shots) await p.screenshot({ path: `${shots}/graph-2000.png` });
  const made = cli("graph", run, "--prompt", text, "--heads", "-o", file);
  const links = JSON.parse(readFileSync(file, "utf8"));
  check(
    (await shown(file)) === links.nodes.length,
    `a graph of the command opens (${made.all_nodes})`,
  );
  check(
    (await p.$eval("#graph-side", (e) => e.textContent)).includes("by head"),
    "with its edges by head",
  );
  await p.reload();
  await settled(p);
  check(
    (await p.$$eval(".graph .node", (e) => e.length)) === links.nodes.length,
    "an opened graph survives a reload: " +
      `${await p.$eval("#view", (e) => e.textContent.slice(0, 200))}`,
  );
  await p.evaluate(() =>
    Object.keys(sessionStorage)
      .filter((k) => k.startsWith("opened "))
      .forEach((k) => sessionStorage.removeItem(k)),
  );
  await p.reload();
  await settled(p);
  check(
    (await p.$eval("#view", (e) => e.textContent)).includes("is open no more"),
    "a graph that is gone says so",
  );
  await accessible(p, "a graph of a file");
  for (const bad of [
    "{",
    "[]",
    "null",
    '{"nodes":[],"links":[]}',
    '{"nodes":[{}],"edges":[],"tokens":[]}',
    '{"nodes":[1],"links":[{"source":"x"}]}',
  ]) {
    writeFileSync(file, bad);
    await p.setInputFiles("#open-graph", file);
    await p.waitForTimeout(60);
    check(
      (await p.$eval("#view [role=alert]", (e) => e.textContent)).length > 10,
      `a damaged graph says so: ${bad}`,
    );
  }
  rmSync(dir, { recursive: true });
  await p.close();
}

/** Groups and names: by keys, in the address, with sums; names that look like markup stay text. */
export async function names({ page, open, settled, accessible, check, url, shots }) {
  const p = await page(1280, 720, "light");
  await p.exposeFunction("violated", (what) => check(false, `policy: ${what}`));
  await p.addInitScript(() =>
    addEventListener("securitypolicyviolation", (e) =>
      window.violated(`${e.violatedDirective} ${e.blockedURI}`),
    ),
  );
  p.on("dialog", (d) => {
    check(false, "a name ran as script");
    d.dismiss();
  });
  await p.goto(url);
  await settled(p);
  await open(p, { view: "graph", split: "1" });
  const nodes = await p.$$eval(".graph .node", (e) => e.length);
  const logit = await p.$eval("#graph-side h2", (e) => e.textContent);
  const sum = async () =>
    Number((await p.$eval("#graph-side h3", (e) => e.textContent)).split("sum ")[1]);
  const before = await sum();
  check(
    (await p.$eval("#graph-side", (e) => e.textContent)).includes("by head"),
    "edges are split by head",
  );
  const circles = await p.$$(".graph circle.node");
  for (const c of circles.slice(-3)) await c.click({ modifiers: ["Shift"], force: true });
  await p.keyboard.press("g");
  await settled(p);
  check((await p.$$eval(".graph .node", (e) => e.length)) === nodes - 2, "three nodes become one");
  await p.$$eval(
    ".graph .node",
    (es, name) => es.find((e) => e.getAttribute("aria-label") === name).focus(),
    logit,
  );
  check(Math.abs((await sum()) - before) < 2e-3, "grouping changes a sum");
  await p.$$eval(".graph .node", (es) =>
    es.find((e) => e.getAttribute("aria-label").startsWith("group 1")).focus(),
  );
  check((await p.$eval("#group-sum", (e) => e.children.length)) === 3, "the group lists its nodes");
  await p.keyboard.press("r");
  await p.fill("#node-name", "play words");
  await p.keyboard.press("Enter");
  await settled(p);
  check(
    new URLSearchParams(new URL(p.url()).hash.slice(1)).get("groups").startsWith("play%20words~"),
    "the name stands in the address",
  );
  await accessible(p, "graph with a group");
  if (shots) await p.screenshot({ path: `${shots}/graph-group.png` });
  await p.reload();
  await settled(p);
  check(
    await p.$$eval(".graph text", (es) => es.some((e) => e.textContent === "play words")),
    "a link brings the group back",
  );
  const id = new URLSearchParams(new URL(p.url()).hash.slice(1)).get("groups").split("~")[1];
  const evil = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "</style><style>*{background:url(http://evil.example)}</style>",
    "</script><script>alert(1)</script>",
    '"><iframe src=javascript:alert(1)>',
    "javascript:alert(1)",
    "</text></svg><img src=x onerror=alert(1)>",
    "%3Cscript%3E",
    "~|~|\u0000",
  ];
  for (const name of evil) {
    await open(p, {
      view: "graph",
      groups: `${encodeURIComponent(name).replace(/~/g, "%7E")}~${id}`,
    });
    check(
      await p.$$eval(".graph text", (es, n) => es.some((e) => e.textContent === n), name),
      `a name is shown as it is: ${name}`,
    );
    check(
      (await p.$$eval("main script, main img, main iframe, main style", (e) => e.length)) === 0,
      `a name became markup: ${name}`,
    );
  }
  await open(p, { view: "graph", groups: `${encodeURIComponent(evil[4])}~${id}` });
  const file = await (await download(p, "HTML")).path();
  const html = readFileSync(file, "utf8");
  const data = html.slice(html.indexOf('id="recorded">') + 14);
  const block = data.slice(0, data.search(/<\/?script/i));
  check(JSON.parse(block).hash.includes("script"), "a name ends the script of a saved page");
  await p.close();
}
