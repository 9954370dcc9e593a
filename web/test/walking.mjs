// walking.mjs: keys, clicks, back and forward, state in the address, copies of tokens.
import { readFileSync } from "node:fs";

/** Keys, clicks, back and forward. */
export async function walking({ page, settled, open, check, url, text }) {
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
  check(
    (await p.$eval(".tok[aria-pressed=true]", (e) => e.dataset.pos)) === "3",
    "a click locks the position",
  );
  await p.keyboard.press("ArrowRight");
  await settled(p);
  check(
    (await p.$eval(".tok[aria-pressed=true]", (e) => e.dataset.pos)) === "4",
    "the arrow key moves the position",
  );
  await p.keyboard.press("2");
  await settled(p);
  check(
    (await p.$eval("[aria-current=page]", (e) => e.textContent)) === "Circuit",
    "key 2 opens the circuit",
  );
  await p.click("#view td button.link >> nth=0");
  await settled(p);
  check(
    (await p.$eval("[aria-current=page]", (e) => e.textContent)) === "Neuron",
    "a neuron opens its card",
  );
  await p.goBack();
  await settled(p);
  check(
    (await p.$eval("[aria-current=page]", (e) => e.textContent)) === "Circuit",
    "back returns to the circuit",
  );
  await p.goBack();
  await settled(p);
  await p.goBack();
  await settled(p);
  check(
    (await p.$eval(".tok[aria-pressed=true]", (e) => e.dataset.pos)) === "3",
    "back returns to the position",
  );
  await p.goForward();
  await settled(p);
  check((await p.$eval(".tok[aria-pressed=true]", (e) => e.dataset.pos)) === "4", "forward too");
  await p.hover(".tok >> nth=2");
  check(
    await p.$eval("#tip", (e) => !e.hidden && e.textContent.includes("position 2")),
    "hover shows predictions",
  );
  await p.keyboard.press("?");
  check(await p.$eval("#help", (e) => e.open), "? opens the help");
  await p.keyboard.press("Escape");
  check(!(await p.$eval("#help", (e) => e.open)), "Escape closes the help");
  await open(p, { view: "graph" });
  await p.click("#save-button");
  const [json] = await Promise.all([
    p.waitForEvent("download"),
    p.click("#export button >> text=JSON"),
  ]);
  const calls = JSON.parse(readFileSync(await json.path(), "utf8")).calls.map((x) => x.call);
  check(
    calls.includes("graph") && calls.includes("predict"),
    `the saved view holds its calls: ${calls}`,
  );
  check(count > 5, "the strip has tokens");
  await p.close();
}

const fragment = (p) => new URLSearchParams(new URL(p.url()).hash.slice(1));
const title = (p) => p.$eval("[aria-current=page]", (e) => e.textContent);

/**
 * Each view: a change of its state stands in the address; back, forward and a reload bring the same
 * page.
 */
export async function history({ page, open, settled, check, url, views, text }) {
  const p = await page(1280, 720, "light");
  const seen = (e) => e.textContent.replace(/\d+(\.\d+)? m?s/g, "");
  await p.goto(url);
  await settled(p);
  const still = async () => {
    await settled(p);
    if (await p.$("#rerun")) await p.waitForSelector("#rerun:not([data-exact=''])");
  };
  const changes = {
    predictions: { pos: "3" },
    circuit: { effects: "total" },
    "circuit-total": { rerun: "1" },
    graph: { keep: "0.4" },
    attention: { head: "1" },
    lens: { pos: "4" },
    steer: { edits: "0.0.1.3*0.5" },
    neuron: { neuron: "2.1.5" },
    corpus: { channel: "1" },
    fires: { units: "0.3" },
    map: { tint: "target" },
    "map-lasso": { lasso: "" },
    facts: { patched: "last" },
    "facts-pair": { pair: "all" },
    compare: { opos: "4" },
    superposition: { couples: "9" },
    margin: { colour: "attribution" },
  };
  for (const [name, change] of Object.entries(changes)) {
    const state = { view: name, ...views[name] };
    await open(p, state);
    await still();
    const before = await p.$eval("main", seen);
    await open(p, { ...state, ...change });
    await still();
    const after = await p.$eval("main", seen);
    const address = p.url();
    await p.goBack();
    await still();
    check((await p.$eval("main", seen)) === before, `${name}: back shows what was there`);
    await p.goForward();
    await still();
    check((await p.$eval("main", seen)) === after, `${name}: forward too`);
    await p.reload();
    await still();
    check(
      p.url() === address && (await p.$eval("main", seen)) === after,
      `${name}: a reload shows the same`,
    );
  }
  check(fragment(p).get("text") === text, "the text stands in the address");
  await p.close();
}

/**
 * Every view by its key; the keys of Map, Facts and Compare; long lists are one stop of Tab; copies
 * hold the text.
 */
export async function keyboard({ page, open, settled, check, url, text, other }) {
  const p = await page(1280, 720, "light");
  await p.goto(url);
  await settled(p);
  await open(p, { view: "predictions" });
  for (const [key, name] of [
    ["2", "Circuit"],
    ["6", "Ablate & steer"],
    ["m", "Map"],
    ["f", "Facts"],
    ["c", "Compare"],
    ["1", "Predictions"],
  ]) {
    await p.keyboard.press(key);
    await settled(p);
    check((await title(p)) === name, `key ${key} opens ${name}`);
  }
  await open(p, { view: "map", docs: "16" });
  await p.keyboard.press("+");
  await p.keyboard.press("ArrowRight");
  await p.waitForTimeout(250);
  check(fragment(p).get("eye")?.endsWith(",1.25"), "keys move the map without a click");
  await p.keyboard.press("s");
  check(await p.evaluate(() => document.activeElement.id === "seek"), "s searches the map");
  await open(p, { view: "facts" });
  await p.evaluate(() => document.activeElement.blur());
  check(
    (await p.$$eval(".facts button", (es) => es.filter((e) => e.tabIndex === 0).length)) === 1,
    "the list of facts is one stop of Tab",
  );
  await p.focus(".facts button");
  await p.keyboard.press("ArrowDown");
  check(
    await p.$$eval(".facts button", (es) => es[1] === document.activeElement),
    "arrows move along it",
  );
  await p.keyboard.press("a");
  await settled(p);
  check(fragment(p).get("pair") === "all", "a shows all pairs");
  await open(p, { view: "compare", other, opos: "4" });
  await p.evaluate(() => document.activeElement.blur());
  await p.keyboard.press(".");
  await settled(p);
  check(fragment(p).get("opos") === "5", "the point moves the second position");
  await open(p, { view: "predictions" });
  await p.evaluate(() => {
    const list = document.querySelectorAll("#strip .tok");
    const range = document.createRange();
    range.setStartBefore(list[1]);
    range.setEndAfter(list[list.length - 1]);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    // Behind the page's own listener: what it has put there.
    addEventListener("copy", (e) => {
      window.copied = e.clipboardData.getData("text/plain");
    });
  });
  await p.keyboard.down("Control");
  await p.keyboard.press("c");
  await p.keyboard.up("Control");
  await p.waitForFunction(() => window.copied !== undefined);
  const copied = await p.evaluate(() => window.copied);
  check(copied.trim() === text, `a copy of the strip is the text: ${copied}`);
  await p.keyboard.press("?");
  check(
    await p.$eval(
      "#help",
      (e) =>
        e.textContent.includes("Compare") &&
        [...e.querySelectorAll("kbd")].some((k) => k.textContent === "m"),
    ),
    "the help lists the keys",
  );
  await p.keyboard.press("Escape");
  // Tab goes through the page from top to bottom, and every stop is seen.
  await p.evaluate(() => {
    document.activeElement.blur();
    getSelection().removeAllRanges();
    scrollTo(0, 0);
  });
  const stops = [];
  for (let i = 0; i < 12; i++) {
    await p.keyboard.press("Tab");
    stops.push(
      await p.evaluate(() => {
        const e = document.activeElement;
        const s = getComputedStyle(e);
        return {
          id: e.id || e.className || e.tagName,
          seen:
            (s.outlineStyle !== "none" && parseFloat(s.outlineWidth) > 0) || s.boxShadow !== "none",
        };
      }),
    );
  }
  check(
    stops.every((s) => s.seen),
    `focus is visible: ${JSON.stringify(stops.filter((s) => !s.seen))}`,
  );
  check(
    stops
      .slice(0, 4)
      .map((s) => s.id)
      .join() === "prompt,primary,save-button,help-button",
    `Tab begins at the top: ${stops.map((s) => s.id)}`,
  );
  await p.close();
}
