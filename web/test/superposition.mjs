// superposition.mjs: pairs of neurons that fire together: the command's numbers, a pair chosen by a
// dot, a row and keys, the control, nothing found, and how to open a recording where none is.
import { spawn } from "node:child_process";
import { exacts } from "./tools.mjs";

const LAYER = "1";
const STATE = { view: "superposition", layer: LAYER, least: "10", lift: "2", couples: "30" };
const ARGS = ["--layer", LAYER, "--min-together", "10", "--min-lift", "2", "--pairs", "30"];

const idOf = (p) => p.neurons.map((n) => `${n.channel}.${n.neuron}`).join(";");
const ordered = (a) =>
  [...a.pairs].sort((x, y) => (y.excess ?? -Infinity) - (x.excess ?? -Infinity));
const known = (list) => list.filter((x) => x !== null);
const chosen = (p) => new URLSearchParams(new URL(p.url()).hash.slice(1)).get("couple");
const lit = (p, selector) =>
  p.$$eval(`${selector}.lit`, (es) => es.map((e) => e.getAttribute("data-pair")));

/** All numbers on the page against those of the command. */
async function agrees(p, a, same, what) {
  same(
    await exacts(p, ".superposition > .card:first-child [data-exact]"),
    [a.mean_excess, ...a.interval, a.p, a.mean_signed],
    `${what}: the layer's numbers`,
  );
  const rows = ordered(a);
  same(
    await p.$$eval("[aria-label=pairs] tbody tr button[data-pair]", (es) =>
      es.map((e) => e.dataset.pair),
    ),
    rows.map(idOf),
    `${what}: the order of pairs`,
  );
  same(
    await p.$$eval("[aria-label=pairs] [data-exact]", (es) =>
      es
        .map((e) => e.dataset.exact)
        .filter((x) => x !== "")
        .map(Number),
    ),
    rows.flatMap((x) => known([x.lift, x.score, x.null, x.excess, x.signed])),
    `${what}: numbers of pairs`,
  );
  same(
    await p.$$eval("[aria-label=pairs] tbody tr", (rs) =>
      rs.map((r) => r.querySelectorAll(".chip").length),
    ),
    rows.map((x) => x.joint_only.length),
    `${what}: tokens that only both promote`,
  );
  const dots = rows.filter((x) => x.score > 0 && x.null > 0);
  same(
    (await p.$$eval(".pair-chart circle", (es) => es.map((e) => e.dataset.pair))).sort(),
    dots.map(idOf).sort(),
    `${what}: dots`,
  );
  same(
    await exacts(p, "[aria-label=sets] [data-exact]"),
    a.sets.flatMap((s) => [s.effect, s.sum_of_effects]),
    `${what}: sets`,
  );
  return { rows, dots };
}

/** Dots stand above the diagonal where the pair has an excess above 0. */
async function placed(p, dots, check) {
  const at = await p.$$eval(".pair-chart circle", (es) =>
    es.map((e) => [e.dataset.pair, Number(e.getAttribute("cx")), Number(e.getAttribute("cy"))]),
  );
  const [x1, y1, x2, y2] = await p.$eval(".pair-chart .diagonal", (e) =>
    ["x1", "y1", "x2", "y2"].map((k) => Number(e.getAttribute(k))),
  );
  for (const [id, x, y] of at) {
    const above = y < y1 + ((x - x1) * (y2 - y1)) / (x2 - x1);
    check(above === dots.find((d) => idOf(d) === id).excess > 0, `${id} stands at its excess`);
  }
}

export async function superposition(t) {
  const { page, settled, open, check, same, cli, url, run, recording, accessible } = t;
  const p = await page(1280, 720, "light");
  await p.goto(url);
  await settled(p);
  const command = (...args) => cli("superposition", run, "--recording", recording, ...args);
  await open(p, STATE);
  const a = command(...ARGS);
  check(a.scored_pairs > 5 && a.sets.length > 0, "superposition: there are pairs and sets");
  const { rows, dots } = await agrees(p, a, same, "superposition");
  await placed(p, dots, check);
  const said = await p.textContent("#super-said");
  const [low, high] = a.interval;
  const word = low > 0 ? "lies above 0" : high < 0 ? "lies below 0" : "holds 0";
  check(said.includes(`The interval ${word}`), `superposition: the sentence says: ${said}`);

  // A pair: by its dot, its row, keys, back.
  await p.click(`.pair-chart circle[data-pair="${idOf(dots[0])}"]`, { force: true });
  await settled(p);
  const first = chosen(p);
  check(
    dots.some((d) => idOf(d) === first),
    `superposition: a click on a dot chooses a pair: ${first}`,
  );
  same(await lit(p, "circle"), [first], "superposition: its dot stands out");
  same(await lit(p, "button"), [first], "superposition: its row, too");
  await p.keyboard.press(".");
  const second = idOf(rows[rows.findIndex((x) => idOf(x) === first) + 1]);
  check(chosen(p) === second, "superposition: the point goes to the next pair");
  await p.keyboard.press(",");
  check(chosen(p) === first, "superposition: the comma goes back");
  await p.goBack();
  await settled(p);
  same(await lit(p, "button"), [second], "superposition: back shows the pair before");
  await p.focus("[aria-label=pairs] tbody tr:first-child button[data-pair]");
  await p.keyboard.press("ArrowDown");
  await p.keyboard.press("Enter");
  await settled(p);
  check(chosen(p) === idOf(rows[1]), "superposition: Enter in the table chooses its pair");
  check(
    (await p.textContent("#chosen-pair")).includes(`Together at ${rows[1].together} positions`),
    "superposition: the chosen pair is told",
  );
  await p.reload();
  await settled(p);
  same(await lit(p, "button"), [idOf(rows[1])], "superposition: a reload keeps it");
  await accessible(p, "superposition, a pair chosen");
  const { channel, neuron } = rows[1].neurons[0];
  await p.click("#chosen-pair .called button.link");
  await settled(p);
  check(
    p.url().includes(`neuron=${LAYER}.${channel}.${neuron}`),
    "superposition: a neuron opens its card",
  );
  await p.goBack();
  await settled(p);
  await p.click("text=where they fire together");
  await settled(p);
  check(
    (await p.textContent("#view")).includes(`${rows[1].together} places`),
    "superposition: the corpus shows where both fire",
  );

  // Controls by hand: the control with moved values, then too much asked for.
  await open(p, STATE);
  await p.click("#shuffled");
  await settled(p);
  await agrees(p, command(...ARGS, "--shuffled"), same, "superposition, shuffled");
  check((await p.textContent("#view")).includes("The control"), "superposition: it says so");
  await p.fill("#least", "100000");
  await p.keyboard.press("Enter");
  await settled(p);
  check(
    (await p.textContent("#super-said")).includes("No pair could be compared: 0 fire together"),
    "superposition: nothing found is said",
  );
  await p.close();
  await phone(t);
  await without(t);
}

/** On a phone nothing is wider than the window, with a pair chosen, too. */
async function phone({ page, settled, open, check, url }) {
  const p = await page(390, 844, "dark");
  await p.goto(url);
  await settled(p);
  await open(p, STATE);
  await p.click("[aria-label=pairs] tbody tr:first-child button[data-pair]");
  await settled(p);
  const wide = await p.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  check(wide <= 0, `superposition: ${wide} px wider than a phone`);
  await p.close();
}

/** Without a recording the view tells how to have one. */
async function without({ page, settled, open, check, run }) {
  const server = spawn(process.env.SGATLIN ?? "build/sgatlin", ["-q", "explore", run], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const url = await new Promise((ok) => server.stdout.once("data", (d) => ok(String(d).trim())));
    const p = await page(1280, 720, "light", url);
    await p.goto(url);
    await settled(p);
    await open(p, { view: "superposition", text: "" });
    const said = await p.textContent("#view");
    check(
      said.includes("No recording is open") && said.includes("sgatlin record MODEL"),
      `superposition, no recording: ${said}`,
    );
    await p.close();
  } finally {
    server.kill("SIGINT");
  }
}
