// graph.mjs: the graph by hand: a node that is pointed at, its card, dragging, zoom, groups of like
// nodes; kept in the address and in the saved page.

const box = (p) => p.$eval("svg.graph", (e) => e.getAttribute("viewBox"));
const nodes = (p) => p.$$eval(".graph .node", (e) => e.length);

/** Neurons of the drawing: where they stand, and which they are. */
const neurons = (p) =>
  p.$$eval(".graph circle.node[aria-label*=neuron]", (es) =>
    es.map((e) => {
      const r = e.getBoundingClientRect();
      const [layer, channel, index] = e
        .getAttribute("aria-label")
        .match(/layer (\d+) channel (\d+) neuron (\d+)/)
        .slice(1)
        .map(Number);
      const at = [r.x + r.width / 2, r.y + r.height / 2];
      return { i: e.dataset.i, at, layer, channel, index, cx: Number(e.getAttribute("cx")) };
    }),
  );

export async function byHand({ page, settled, open, check, same, cli, url, run, recording }) {
  const p = await page(1280, 720, "light");
  await p.goto(url);
  await settled(p);
  await open(p, { view: "graph" });
  const list = await neurons(p);
  const card = (n) =>
    cli(
      "neuron",
      run,
      ...["-l", n.layer, "-c", n.channel, "-i", n.index].map(String),
      ...["--recording", recording, "--excerpts", "8"],
    );
  const fired = list.find((n) => card(n).recorded?.excerpts.length);
  const own = card(fired);

  // Pointed at, without a click: its label, and where it fires most.
  await p.mouse.move(...fired.at);
  await p.waitForFunction(() => document.querySelector("#tip .context") !== null);
  const shown = await p.$eval("#tip", (e) => [
    e.querySelector("strong").textContent,
    e.querySelector(".context").textContent,
  ]);
  const label = cli("label", "list", run, "--recording", recording, "-n", "100000").neurons.find(
    (n) => n.layer === fired.layer && n.channel === fired.channel && n.index === fired.index,
  ).label;
  same(
    shown[0].replace(/[·↵]/g, " ").trim(),
    label.replace(/[·↵]/g, " ").trim(),
    "hover: its label",
  );
  const text = own.recorded.excerpts[0].token.text.trim();
  check(shown[1].includes(text), `hover: an excerpt around “${text}”: ${shown[1]}`);

  // A click: the card beside the graph.
  await p.mouse.click(...fired.at);
  await p.waitForSelector("#node-card .small-card");
  check(
    (await p.$eval("#node-card", (e) => e.textContent)).length > 40,
    "the card stands beside the graph",
  );

  // Dragged: it stays where it was put, through a reload, until it is put back.
  const [x, y] = fired.at;
  await p.mouse.move(x, y);
  await p.mouse.down();
  await p.mouse.move(x + 30, y + 10, { steps: 4 });
  await p.mouse.move(x + 60, y + 20, { steps: 4 });
  await p.mouse.up();
  const place = () => p.$eval(`.graph [data-i="${fired.i}"]`, (e) => Number(e.getAttribute("cx")));
  const moved = await place();
  check(moved > fired.cx + 20, `a node is dragged: from ${fired.cx} to ${moved}`);
  check(p.url().includes("places="), "where it stands is in the address");
  await p.reload();
  await settled(p);
  check(Math.abs((await place()) - moved) < 0.2, "a dragged node stays through a reload");
  await p.click('text="put back what was dragged"');
  await settled(p);
  check(Math.abs((await place()) - fired.cx) < 0.2, "and can be put back");

  // Zoom, by buttons, wheel and keys; fit shows all.
  const all = await box(p);
  const width = async () => Number((await box(p)).split(" ")[2]);
  const whole = await width();
  await p.click("[aria-label='zoom in']");
  check((await width()) < whole, "the button zooms in");
  await p.click('text="fit"');
  same(await box(p), all, "fit shows all");
  await p.mouse.move(x, y);
  await p.mouse.wheel(...(process.env.BROWSER === "firefox" ? [{ deltaY: -100 }] : [0, -100]));
  await p.waitForFunction(
    (b) => document.querySelector("svg.graph").getAttribute("viewBox") !== b,
    all,
  );
  check((await width()) < whole, "the wheel zooms in");
  await p.keyboard.press("0");
  same(await box(p), all, "0 shows all");

  // Like nodes become one, and are taken apart again.
  const before = await nodes(p);
  const names = new Set();
  const labels = await p.evaluate(() =>
    [...document.querySelectorAll(".graph circle.node")].map((e) => e.getAttribute("aria-label")),
  );
  for (const name of labels) names.add(name.replace(/ at .*$| at position.*$/, ""));
  await p.click('text="group like nodes"');
  await settled(p);
  const after = await nodes(p);
  check(after <= before, `like nodes become one: ${before} to ${after}`);
  if (names.size < labels.length)
    check(after < before, "the same neuron at two places is one node");
  if (after < before) {
    await p.click('text="ungroup all"');
    await settled(p);
    check((await nodes(p)) === before, "groups are taken apart");
  }
  await p.close();
}
