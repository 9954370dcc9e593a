// card_formula.ts: the neuron as a function of features, its formula under the points it was
// fitted to.
import { h, s } from "./dom";
import { count, exact, signed } from "./format";
import type { Formula, Neuron } from "./types";
import { number } from "./parts";

const W = 300;
const H = 150;

/** What the neuron gives (rings) and what the function gives (discs) over its first feature. */
function points(f: Formula) {
  const p = f.points.map((x) => x.map((v) => v ?? 0));
  const xs = p.map((x) => x[0]);
  const ys = p.flatMap((x) => x.slice(1));
  const scale = (v: number, all: number[], size: number) => {
    const low = Math.min(...all);
    const span = Math.max(...all) - low || 1;
    return 8 + ((v - low) / span) * (size - 16);
  };
  const dot = (x: number[], k: number, kind: string) =>
    s(
      "circle",
      {
        class: kind,
        r: k === 1 ? 4 : 2.5,
        cx: scale(x[0], xs, W).toFixed(1),
        cy: (H - scale(x[k], ys, H)).toFixed(1),
        css: k === 1 ? { fill: "none", stroke: "currentColor" } : { fill: "currentColor" },
      },
      s("title", {}, `${k === 1 ? "sampled" : "function"}: ${exact(x[k])} at ${exact(x[0])}`),
    );
  const feature = f.edges.length ? `z${f.edges[0].feature}` : "no feature";
  return s(
    "svg",
    {
      class: "chart",
      viewBox: `0 0 ${W} ${H + 16}`,
      role: "img",
      "aria-label": `sampled values (rings) and the function (discs) over ${feature}`,
      "data-points": p.length,
    },
    p.map((x) => dot(x, 1, "sampled")),
    p.map((x) => dot(x, 2, "function")),
    s("line", { class: "axis", x1: 0, x2: W, y1: H, y2: H }),
    s("text", { class: "soft", x: 0, y: H + 13 }, signed(Math.min(...xs), 3)),
    s("text", { class: "soft", x: W / 2, y: H + 13, "text-anchor": "middle" }, feature),
    s("text", { class: "soft", x: W, y: H + 13, "text-anchor": "end" }, signed(Math.max(...xs), 3)),
  );
}

export function formulaCard(n: Neuron): HTMLElement | null {
  const f = n.function;
  if (!f) return null;
  if (!f.formula)
    return h(
      "div.card",
      {},
      h("h2", {}, "As a function"),
      h("p.note", {}, `${count(f.samples)} samples were too few: it stayed a row of the matrix.`),
    );
  return h(
    "div.card",
    { id: "formula" },
    h("h2", {}, "As a function of features"),
    f.points.length ? points(f) : null,
    h("p.mono", { css: { "overflow-wrap": "anywhere" } }, f.formula),
    h(
      "p.note",
      {},
      "Rings: what the neuron gives where it is chosen; discs: the function there, over its " +
        "first feature. R2 ",
      number(f.r2),
      ` over ${count(f.samples)} samples; ${count(f.bytes)} bytes where its row has ` +
        `${count(f.bytes_matrix)}.`,
    ),
  );
}
