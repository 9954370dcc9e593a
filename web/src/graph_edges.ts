// graph_edges.ts: the lines of a graph. Thousands of elements are slow to style and to paint, so
// lines of like weight and one sign are one element; those of the chosen node stand on top, each by
// itself.
import { s } from "./dom";
import { max } from "./format";
import type { Edge } from "./graph_groups";
import type { Place } from "./graph_layout";

const BINS = 12; // of each sign, by the square root of the weight

const way = (a: Place, b: Place) => {
  const middle = ((a.y + b.y) / 2).toFixed(1);
  const [ax, ay, bx, by] = [a.x, a.y, b.x, b.y].map((v) => v.toFixed(1));
  return `M${ax} ${ay}C${ax} ${middle} ${bx} ${middle} ${bx} ${by}`;
};

export interface Lines {
  ground: SVGElement;
  top: SVGElement; // of the chosen node
  light: (i: number) => void;
  /** A node stands elsewhere. */
  moved: (i: number) => void;
}

export function lines(edges: Edge[], at: Place[], all: Edge[]): Lines {
  const most = max(all.map((e) => e.weight));
  const size = (e: Edge) => Math.sqrt(Math.abs(e.weight) / most);
  const width = (x: number) => (0.4 + 3 * x).toFixed(2);
  const kind = (e: Edge) => (e.weight < 0 ? "edge neg" : "edge");
  const bins: Edge[][] = Array.from({ length: 2 * BINS }, () => []);
  const bin = (e: Edge) =>
    Math.min(BINS - 1, Math.floor(size(e) * BINS)) + (e.weight < 0 ? BINS : 0);
  for (const e of edges) bins[bin(e)].push(e);
  const draw = (b: Edge[]) => b.map((e) => way(at[e.from], at[e.to])).join("");
  const paths = bins.map((b, k) => {
    const x = ((k % BINS) + 0.5) / BINS;
    const look = { "stroke-width": width(x), opacity: (0.04 + 0.12 * x).toFixed(3) };
    return b.length ? s("path", { class: kind(b[0]), d: draw(b), ...look }) : null;
  });
  const top = s("g", { class: "lit" });
  let lit = -1;
  const light = (i: number) => {
    lit = i;
    const own = edges.filter((e) => e.from === i || e.to === i);
    top.replaceChildren(
      ...own.map((e) =>
        s("path", {
          class: kind(e),
          d: way(at[e.from], at[e.to]),
          "stroke-width": width(size(e)),
          opacity: 0.95,
        }),
      ),
    );
  };
  const moved = (i: number) => {
    bins.forEach((b, k) => {
      if (b.some((e) => e.from === i || e.to === i)) paths[k]?.setAttribute("d", draw(b));
    });
    light(lit);
  };
  return { ground: s("g", {}, paths), top, light, moved };
}
