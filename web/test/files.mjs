// files.mjs: pages on other files than a model: a graph without a model. Called by browser.mjs;
// alone:
// node web/test/files.mjs RUN DATA.txt
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const sgatlin = process.env.SGATLIN ?? "build/sgatlin";
/** Starts an explorer; the page's address and how to end it. */
export async function explorer(...args) {
  const server = spawn(sgatlin, ["-q", "explore", ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const url = await new Promise((ok, fail) => {
    server.stdout.once("data", (d) => ok(String(d).trim()));
    server.once("exit", (code) => fail(new Error(`explore ${args[0]} ended with ${code}`)));
  });
  return { url, end: () => server.kill("SIGINT") };
}

async function watched(browser, check, url, name) {
  const p = await browser.newPage({
    viewport: { width: 1280, height: 720 },
    reducedMotion: "reduce",
  });
  p.on("console", (m) => {
    if (m.type() === "error" || m.type() === "warning")
      check(false, `${name}: console: ${m.text()}`);
  });
  p.on("pageerror", (e) => check(false, `${name}: ${e.message}`));
  p.on("request", (r) =>
    check(
      r.url().startsWith(url.split("#")[0]) || /^(blob|data):/.test(r.url()),
      `${name}: request to ${r.url()}`,
    ),
  );
  return p;
}
const nodes = (p) => p.$$eval(".graph .node", (e) => e.length);
const heading = (p) => p.$eval("#view h2", (e) => e.textContent);

/** A graph's file in place of a model: the graph works, the other views say what they need. */
export async function graphAlone({ browser, settled, accessible, check, run, text, shots }) {
  const dir = mkdtempSync(join(tmpdir(), "sgatlin-alone-"));
  const file = join(dir, "dog.json");
  execFileSync(sgatlin, ["-q", "graph", run, "--prompt", text, "-o", file]);
  const made = JSON.parse(readFileSync(file, "utf8"));
  const { url, end } = await explorer(file);
  const p = await watched(browser, check, url, "graph alone");
  await p.goto(url);
  await settled(p);
  check(
    (await p.$eval("#model", (e) => e.textContent)).startsWith("dog.json"),
    "graph alone: the file's name stands above",
  );
  check((await nodes(p)) === made.nodes.length, "graph alone: every node is shown");
  check(!(await p.isVisible("#prompt")), "graph alone: there is no prompt");
  const slider = await p.$eval("label[for=share]", (e) => e.getBoundingClientRect().height);
  check(slider < 40, `graph alone: the slider's label takes ${slider} px`);
  await accessible(p, "graph alone");
  if (shots) await p.screenshot({ path: `${shots}/graph-alone.png` });

  await p.$eval("#share", (e) => {
    e.value = "0.5";
    e.dispatchEvent(new Event("change", { bubbles: true }));
  });
  await settled(p);
  const within = made.nodes.filter(
    (n) => n.feature_type === "embedding" || n.feature_type === "logit" || n.influence <= 0.5,
  ).length;
  check(
    (await nodes(p)) === within && within < made.nodes.length,
    `graph alone: the threshold leaves ${await nodes(p)} nodes, not ${within}`,
  );
  check(
    /of the file's \d+ nodes these hold [\d.]+ %/i.test(
      await p.$eval("#graph-share", (e) => e.textContent),
    ),
    "graph alone: the share kept is told",
  );
  check(p.url().includes("share=0.5"), "graph alone: the threshold stands in the address");

  for (const c of (await p.$$(".graph circle.node")).slice(-2))
    await c.click({ modifiers: ["Shift"], force: true });
  await p.keyboard.press("g");
  await settled(p);
  await p.$$eval(".graph .node", (es) =>
    es.find((e) => e.getAttribute("aria-label").startsWith("group 1")).focus(),
  );
  await p.keyboard.press("r");
  await p.fill("#node-name", "two of them");
  await p.keyboard.press("Enter");
  await settled(p);
  check((await nodes(p)) === within - 1, "graph alone: two nodes become one");
  await p.reload();
  await settled(p);
  check(
    (await nodes(p)) === within - 1 &&
      (await p.$$eval(".graph text", (es) => es.some((e) => e.textContent === "two of them"))),
    "graph alone: threshold, group and name come back",
  );

  const titles = await p.$$eval("#tabs button", (es) => es.map((e) => e.textContent));
  for (const [i, title] of titles.entries()) {
    if (title === "Graph") continue;
    await p.click(`#tabs button >> nth=${i}`);
    await settled(p);
    check(
      (await heading(p)) === `${title} needs a model`,
      `graph alone: ${title} says ${await heading(p)}`,
    );
  }
  await accessible(p, "a view that needs a model");
  await p.click("text=Back to the graph");
  await settled(p);

  // A saved view opens the same way, with its groups.
  await p.click("#save-button");
  const [saved] = await Promise.all([
    p.waitForEvent("download"),
    p.click("#export button >> text=JSON"),
  ]);
  const view = join(dir, "view.json");
  await saved.saveAs(view);
  await p.keyboard.press("Escape");
  end();
  await p.close();
  const again = await explorer(view);
  const q = await watched(browser, check, again.url, "a saved view");
  await q.goto(again.url);
  await settled(q);
  check(
    await q.$$eval(".graph text", (es) => es.some((e) => e.textContent === "two of them")),
    "a saved view: its groups are there",
  );
  check((await nodes(q)) === made.nodes.length - 1, `a saved view: ${await nodes(q)} nodes`);
  again.end();
  await q.close();
  rmSync(dir, { recursive: true });
}

/**
 * Documents of --data: picked, walked, searched, listed, by mouse and by keys; the texts are the
 * file's.
 */
export async function documents({ browser, settled, accessible, check, run, data, shots }) {
  const stories = readFileSync(data, "utf8")
    .split("<|endoftext|>")
    .map((s) => s.trim())
    .filter(Boolean);
  const { url, end } = await explorer(run, "--data", data);
  const p = await watched(browser, check, url, "documents");
  const typed = () => p.$eval("#prompt", (e) => e.value);
  const number = () => p.$eval("#doc", (e) => e.value);
  const at = async (k, what) => {
    await p.waitForFunction((n) => document.querySelector("#doc").value === String(n), k);
    await settled(p);
    const text = await typed();
    // A document longer than the model was made for is cut, by a search around the text found.
    check(
      text.length > 20 && stories[k].includes(text),
      `documents: ${what}: another text than document ${k}`,
    );
  };
  await p.goto(url);
  await settled(p);
  await p.click("[aria-label='next document']");
  await at(0, "the first");
  check((await p.$$eval(".tok", (e) => e.length)) > 10, "documents: the text is read");
  await p.focus("#view");
  await p.keyboard.press("]");
  await at(1, "the key ]");
  await p.keyboard.press("]");
  await at(2, "the key ]");
  await p.keyboard.press("[");
  await at(1, "the key [");
  await p.fill("#doc", "17");
  await p.keyboard.press("Enter");
  await at(17, "a number");
  check(p.url().includes("doc=17"), "documents: the number stands in the address");
  await p.fill("#doc", "1000000");
  await p.keyboard.press("Enter");
  await p.waitForFunction(() => document.querySelector("#doc-said").textContent.length > 10);
  check(
    (await p.$eval("#doc-said", (e) => e.textContent)).includes(`${stories.length} documents`),
    "documents: a number too large is told",
  );
  check((await typed()).length > 20, "documents: the prompt stays");
  const word = stories[17]
    .split(/\s+/)
    .find((w) => w.length > 4 && stories.slice(18).some((s) => s.includes(w)));
  const later = stories.findIndex((s, i) => i > 17 && s.includes(word));
  await p.fill("#doc-find", word);
  await p.keyboard.press("Enter");
  await at(later, `search for ${word}`);
  await p.click("[aria-label='previous document']");
  const before = stories.slice(0, later).findLastIndex((s) => s.includes(word));
  await at(before, "search backwards");
  await p.click("#doc-list");
  await p.waitForSelector("#doc-rows li");
  const listed = await p.$$eval("#doc-rows button[data-doc]", (es) =>
    es.map((e) => Number(e.dataset.doc)),
  );
  const wanted = stories
    .flatMap((s, i) => (i >= before && s.includes(word) ? [i] : []))
    .slice(0, 12);
  check(
    JSON.stringify(listed) === JSON.stringify(wanted),
    `documents: the list holds ${listed}, not ${wanted}`,
  );
  await accessible(p, "documents");
  if (shots) await p.screenshot({ path: `${shots}/documents.png` });
  await p.focus("#doc-rows button[data-doc] >> nth=1");
  await p.keyboard.press("Enter");
  await at(wanted[1], "one of the list");
  await p.goBack();
  await at(before, "back");
  await p.fill("#doc-find", "no story holds this");
  await p.keyboard.press("Enter");
  await p.waitForFunction(() =>
    document.querySelector("#doc-said").textContent.includes("no later document"),
  );
  await p.setViewportSize({ width: 390, height: 844 });
  check(
    (await p.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0,
    "documents: the page is wider than 390 px",
  );
  if (shots) await p.screenshot({ path: `${shots}/documents-390.png` });
  await p.keyboard.press("Escape");
  await p.fill("#prompt", "The dog");
  await p.keyboard.press("Enter");
  await settled(p);
  check((await number()) === "", "documents: a typed text is none of them");
  end();
  await p.close();
}
