// views.mjs: every view at two sizes, light and dark: no error, nothing wider than the window,
// axe-core; pictures to look at.
export const views = ({ clean, counter, other }) => ({
  map: { docs: "16" },
  "map-topic": { view: "map", docs: "16", tint: "topic", eye: "0.5,0.5,2" },
  "map-found": { view: "map", docs: "16", tint: "category", seek: "the" },
  "map-lasso": { view: "map", docs: "16", lasso: "0.1,0.1;0.6,0.1;0.6,0.9;0.1,0.9" },
  facts: {},
  "facts-pair": { view: "facts", pair: `${clean}|${counter}` },
  "facts-all": { view: "facts", pair: "all" },
  compare: { other },
  "compare-none": { view: "compare" },
  start: { view: "predictions", text: "" },
  predictions: {},
  circuit: {},
  "circuit-total": { view: "circuit", effects: "total" },
  "circuit-rerun": { view: "circuit", effects: "total", rerun: "1" },
  "circuit-ab": { view: "circuit", against: "id:5" },
  "circuit-word": { view: "circuit", target: "zebra crossing", against: "little" },
  "steer-toward": { view: "steer", toward: " dog", written: "1", most: "12" },
  written: { view: "predictions", written: "1", most: "12" },
  "graph-word": { view: "graph", target: "zebra" },
  graph: {},
  attention: { layer: "1" },
  lens: {},
  "lens-word": { view: "lens", target: "zebra crossing" },
  recall: {},
  "recall-wide": { view: "recall", subject: "1-2", window: "2" },
  directions: {},
  "directions-qk": { view: "directions", matrix: "qk", layer: "1", distance: "1", cosine: "1" },
  "directions-neurons": { view: "directions", matrix: "mlp_out", layer: "1" },
  "feature-none": { view: "feature" },
  "beside-none": { view: "beside" },
  superposition: { layer: "1", least: "10", lift: "2", couples: "30" },
  "superposition-control": { view: "superposition", layer: "1", shuffled: "1", couples: "30" },
  "superposition-none": { view: "superposition", least: "100000" },
  steer: { edits: "0.0.1.3*0;1.0.2.*0.5" },
  "steer-none": { view: "steer" },
  neuron: { neuron: "1.0.7" },
  "neuron-fires": {
    view: "neuron",
    neuron: "1.0.7",
    colour: "neuron",
    tinted: "1.0.7",
    quantity: "input",
  },
  neurons: {},
  "neurons-asked": { view: "neurons", ask: "raises", word: "dog" },
  "map-lit": { view: "map", docs: "16", layer: "1", lit: "0.7" },
  training: {},
  "corpus-none": { view: "corpus" },
  corpus: { find: " dog" },
  "corpus-typed": { view: "corpus", layer: "1", pos: "9" },
  fires: { view: "corpus", layer: "1", units: "0.3;1.4" },
  margin: { view: "predictions", colour: "margin" },
  attribution: { view: "predictions", colour: "attribution" },
});

/** Every view can be reached from where one is: by its tab, all in one line, or by the menu. */
async function reached(p, width, settled, check) {
  const seen = (selector) =>
    p.$$eval(selector, (es) =>
      es.map((e) => {
        const r = e.getBoundingClientRect();
        return { text: e.textContent, left: r.left, right: r.right, top: r.top, width: r.width };
      }),
    );
  const tabs = await seen("#tabs button");
  const [menu] = await seen("#tabs select");
  if (width > 560) {
    const out = tabs.filter((t) => !t.width || t.left < 0 || t.right > width);
    check(!out.length && !menu.width, `tabs out of sight: ${out.map((t) => t.text)}`);
    const rows = new Set(tabs.map((t) => Math.round(t.top)));
    check(rows.size === 1, `the tabs stand in ${rows.size} lines`);
    return;
  }
  check(
    tabs.every((t) => !t.width) && menu.width > 300 && menu.right <= width,
    "a menu in place of the tabs",
  );
  const views = await p.$$eval("#tabs option", (es) => es.map((e) => e.value));
  check(views.length === tabs.length, `the menu has ${views.length} of ${tabs.length} views`);
  await p.selectOption("#tabs select", views[views.length - 1]);
  await settled(p);
  check(p.url().includes(`view=${views[views.length - 1]}`), "the menu opens a view");
}

/** What has to fit a phone: every table but that of layers and positions, a drawing, too. */
const CUT = "#view .scroll:not(:has(.lens, svg))";

/** How soon a first visit shows something, and all of it. */
export async function paint({ page, settled, quick, url }) {
  const p = await page(1280, 720, "light");
  const t0 = performance.now();
  await p.goto(url);
  await settled(p);
  const ready = performance.now() - t0;
  const first = await p.evaluate(
    () => performance.getEntriesByName("first-contentful-paint")[0]?.startTime,
  );
  console.log(`first paint ${first?.toFixed(0)} ms, page ready ${ready.toFixed(0)} ms`);
  quick(first < 1000, `first paint ${first} ms`);
  await p.close();
}

/** Two pages at a time, as there are two cores. */
export async function everyView({ page, open, settled, accessible, check, url, shots, views }) {
  const one = async (width, height, scheme) => {
    const p = await page(width, height, scheme);
    await p.goto(url);
    await settled(p);
    check(!p.url().includes("token="), "the token stays in the address");
    await reached(p, width, settled, check);
    for (const [name, state] of Object.entries(views)) {
      await open(p, { view: name, ...state });
      check(
        !(await p.$(".error")),
        `${name}: ${await p.$eval(".error", (e) => e.textContent).catch(() => "")}`,
      );
      const wide = await p.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      check(wide <= 0, `${name}: the page is ${wide} px wider than the window (${width})`);
      if (width <= 560) {
        const cut = await p.$$eval(CUT, (es) =>
          es.map((e) => `${e.getAttribute("aria-label")} ${e.scrollWidth - e.clientWidth}`),
        );
        const out = cut.filter((x) => !/ -?[01]$/.test(x));
        check(!out.length, `${name}: wider than the phone, px: ${out}`);
      }
      await accessible(p, `${name} ${width} ${scheme}`);
      if (shots) await p.screenshot({ path: `${shots}/${name}-${width}-${scheme}.png` });
    }
    await p.close();
  };
  for (const [width, height] of [
    [1280, 720],
    [390, 844],
  ])
    await Promise.all(["light", "dark"].map((scheme) => one(width, height, scheme)));
}
