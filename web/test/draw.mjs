// draw.mjs SGATLIN MODEL: what views draw, without a browser: draw() is given the command's own
// answers and must need nothing of a page but elements, ask nobody, and draw the same twice.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [sgatlin, model] = process.argv.slice(2);
const cli = (...args) =>
  JSON.parse(execFileSync(sgatlin, [...args, "--json"], { encoding: "utf8", maxBuffer: 1 << 28 }));

/** As much of an element as drawing needs. */
class Node {
  children = [];
  attributes = {};
  style = {};
  constructor(tag) {
    this.tag = tag;
  }
  setAttribute(k, v) {
    this.attributes[k] = v;
  }
  append(...all) {
    this.children.push(...all);
  }
  addEventListener() {}
  querySelectorAll() {
    return [];
  }
  get textContent() {
    return this.children.map((c) => c.textContent ?? c).join("");
  }
  all(which) {
    const own = which(this) ? [this] : [];
    return [...own, ...this.children.flatMap((c) => (c instanceof Node ? c.all(which) : []))];
  }
  toJSON() {
    const { tag, className, attributes, style, children } = this;
    return { tag, className, attributes, style, children };
  }
}
const make = (tag) => new Node(tag);
Object.assign(globalThis, {
  Node,
  document: {
    createElement: make,
    createElementNS: (_, tag) => make(tag),
    getElementById: () => null,
  },
  fetch: () => {
    throw new Error("draw asks the server");
  },
});

const folder = mkdtempSync(join(tmpdir(), "draw-"));
const view = async (file) => {
  const out = join(folder, `${file}.mjs`);
  const esbuild = process.env.ESBUILD ?? "esbuild";
  const flags = ["--bundle", "--format=esm", "--target=es2020", "--log-level=error"];
  execFileSync(esbuild, [`web/src/${file}.ts`, ...flags, `--outfile=${out}`]);
  return import(pathToFileURL(out).href);
};
let failed = 0;
const check = (ok, what) => {
  if (!ok) console.log(`FAIL ${what}`);
  failed += !ok;
};
const same = (a, b, what) =>
  check(JSON.stringify(a) === JSON.stringify(b), `${what}: ${JSON.stringify(a).slice(0, 200)}`);

/** The drawing under one root; drawn twice, as it must be the same. */
function drawn(v, c, data, what) {
  const once = () => {
    const root = make("main");
    root.append(...v.draw(c, data).body.filter((x) => x instanceof Node));
    return root;
  };
  const root = once();
  same(once(), root, `${what} is drawn otherwise the second time`);
  return root;
}
const exact = (root) =>
  root.all((e) => "data-exact" in e.attributes).map((e) => Number(e.attributes["data-exact"]));
const labelled = (root, name) => root.all((e) => e.attributes["aria-label"] === name)[0];

try {
  const text = "Once upon a time there was a";
  const a = cli("attribute", model, text, "--top", "400");
  const bos = a.tokens[0];
  const info = { model: { layers: 64, channels: 1, bos }, examples: [], recording: null };
  const state = { effects: "direct", rerun: 0, part: 0, fewest: 0, target: "", against: "" };
  const c = { state, info, read: { tokens: a.tokens, predictions: [] }, pos: a.position };
  const { circuit } = await view("view_circuit");
  const root = drawn(circuit, c, { m: null, a, whole: a, labels: new Map() }, "circuit");
  const logit = root.all((e) => e.attributes.id === "target-logit")[0];
  same(Number(logit.attributes["data-exact"]), a.target_logit, "circuit: the logit");
  const neurons = a.terms.filter((t) => t.kind === "neuron");
  for (const [name, list] of [
    ["for", neurons.filter((t) => t.effect > 0)],
    ["against", neurons.filter((t) => t.effect < 0)],
  ]) {
    const title = `Neurons ${name} (${list.length})`;
    const want = list.slice(0, 12).flatMap((t) => [t.value, t.effect]);
    if (list.length) same(exact(labelled(root, title)), want, `circuit: ${title}`);
  }
  const n = cli("label", "list", model, "-n", "20");
  const { neurons: list } = await view("view_neurons");
  const rows = drawn(list, { state: {}, info }, n, "neurons");
  same(
    exact(labelled(rows, "neurons")),
    n.neurons.flatMap((r) => [r.frequency, r.strength, r.norm].filter((x) => x !== null)),
    "neurons: numbers",
  );
  // A drawing of what is not there is no drawing of nothing: it fails, and is seen.
  let threw = false;
  try {
    circuit.draw(c, { m: null, a: { ...a, terms: undefined }, whole: a, labels: new Map() });
  } catch {
    threw = true;
  }
  check(threw, "an answer without terms is drawn");
} finally {
  rmSync(folder, { recursive: true });
}
if (failed) process.exit(1);
console.log("views draw without a browser");
