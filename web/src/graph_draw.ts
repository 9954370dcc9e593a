// graph_draw.ts: the picture of a graph: edges, nodes, labels that fit, tokens and layers.
import { h, s, showTip, tipFor } from "./dom";
import { percent, signed, tokenText } from "./format";
import { lines } from "./graph_edges";
import type { Edge, Group, Shape, Shapes } from "./graph_groups";
import { acts as doesAct, title as nodeTitle } from "./graph_groups";
import { FOOT, layout, many, place, ROW, WIDTH } from "./graph_layout";
import type { Layout, Place } from "./graph_layout";
import type { Graph } from "./types";

/** What is drawn: the graph, the groups and names of the reader's, and what the model's say. */
export interface Draft {
  g: Graph;
  groups: Group[];
  drawn: Shapes;
  labels: Map<string, string>; // "layer.channel.index" to a neuron's label
  moved: Map<string, [number, number]>;
}

/** More lines than these are a grey cloud, and slow; the lists count them all. */
export const DRAWN = 4000;
const PATIENCE = 120; // ms over a node before its card is asked for
const LONGEST = 34; // letters of a label that nobody gave

/** The reader's name, else the model's label; tokens and outputs are their own. */
export function label(d: Draft, n: Shape): string {
  if (n.label) return n.label;
  if (n.kind === "logit") return tokenText(n.token?.text ?? "");
  if (doesAct(n)) return d.labels.get(`${n.layer}.${n.channel}.${n.index}`) ?? "";
  return "";
}
export const title = (d: Draft, n: Shape) =>
  n.label
    ? many(n)
      ? `${n.label} (${n.members.length} nodes)`
      : n.label
    : nodeTitle(d.g.tokens, n);

/** The DRAWN of largest weight without sign; numbers sort faster than edges. */
export function strongest(edges: Edge[]): Edge[] {
  if (edges.length <= DRAWN) return edges;
  const sorted = Float64Array.from(edges, (e) => Math.abs(e.weight)).sort();
  const cut = sorted[edges.length - DRAWN];
  const above = edges.filter((e) => Math.abs(e.weight) > cut);
  const equal = edges.filter((e) => Math.abs(e.weight) === cut);
  return [...above, ...equal.slice(0, DRAWN - above.length)];
}

function colour(n: Shape) {
  if (many(n)) return "var(--accent)";
  if (doesAct(n)) return `rgb(var(--${(n.value ?? 0) < 0 ? "neg" : "pos"}))`;
  if (n.kind === "error") return "var(--error)";
  return n.kind === "bias" ? "var(--soft)" : "var(--fg)";
}

function outline(n: Shape, at: Place) {
  const round = (doesAct(n) || n.kind === "bias") && !many(n);
  if (round) return { tag: "circle", box: { cx: at.x, cy: at.y, r: at.r } };
  if (n.kind === "error" && !many(n)) {
    const corners = [
      [0, -1],
      [1, 0],
      [0, 1],
      [-1, 0],
    ].map(([x, y]) => `${at.x + 1.25 * at.r * x},${at.y + 1.25 * at.r * y}`);
    return { tag: "polygon", box: { points: corners.join(" ") } };
  }
  const half = many(n) ? Math.max(8, at.r) : 7;
  const rx = many(n) ? half / 1.5 : 3;
  const box = { x: at.x - half, y: at.y - half, width: 2 * half, height: 2 * half, rx };
  return { tag: "rect", box };
}

export interface Acts {
  choose: (i: number, more: boolean) => void;
  /** What the card says beside the label while a node is pointed at; may be empty. */
  hint: (i: number) => string;
  /** Brings the card of a node that is pointed at; false: it is there, or there is none. */
  point: (i: number) => Promise<boolean>;
}

function shape(d: Draft, i: number, l: Layout, pinned: boolean, acts: Acts): SVGElement {
  const n = d.drawn.nodes[i];
  const { tag, box } = outline(n, l.at[i]);
  const el = s(tag, {
    class: `node${pinned ? " pinned" : ""}`,
    tabindex: i === 0 ? 0 : -1,
    role: "button",
    "aria-label": title(d, n),
    "data-i": i,
    ...box,
    css: { fill: colour(n) },
    onclick: (e: Event) => acts.choose(i, (e as MouseEvent).shiftKey),
    onfocus: () => acts.choose(i, false),
  });
  const said = () => [
    h("strong", {}, label(d, n) || title(d, n)),
    label(d, n) ? h("div", {}, nodeTitle(d.g.tokens, n)) : null,
    n.value !== undefined ? h("div", {}, `value ${signed(n.value)}`) : null,
    h("div", {}, `influence ${percent(n.influence)}`),
    acts.hint(i) ? h("div.mono.context", {}, acts.hint(i)) : null,
  ];
  const over = () => el.matches(":hover");
  const bring = async () => {
    if (over() && (await acts.point(i)) && over()) showTip(el, said());
  };
  el.addEventListener("pointerenter", () => setTimeout(bring, PATIENCE));
  return tipFor(el, said);
}

function ground(d: Draft, l: Layout) {
  const rows = Array.from({ length: l.layers + 2 }, (_, k) => {
    const text = k === 0 ? "input" : k > l.layers ? "output" : `layer ${k - 1}`;
    return s("text", { class: "soft", x: 4, y: l.height - FOOT - (k + 0.5) * ROW + 4 }, text);
  });
  const words = [...l.columns].map(([p, x]) => {
    const y = l.height - FOOT - ROW / 2 + 22;
    const transform = `translate(${x + 4} ${y}) rotate(-56)`;
    const text = tokenText(d.g.tokens[p]?.text ?? String(p)).slice(0, 14);
    return s("text", { transform, "text-anchor": "end" }, text);
  });
  return [rows, words];
}

export interface Picture {
  svg: SVGSVGElement;
  height: number;
  nodes: SVGElement[];
  left: number; // edges that are not drawn
  share: number; // of the weight of all that is drawn
  /** One node stands out, with its edges; chosen are held for a group. */
  light: (i: number, chosen: Set<string>) => void;
  /** Labels anew for this zoom. */
  relabel: (zoom: number) => void;
  move: (i: number, x: number, y: number) => void;
}

export function draw(d: Draft, pins: Set<string>, acts: Acts): Picture {
  const list = d.drawn.nodes;
  const l = layout(list, d.moved);
  const strong = strongest(d.drawn.edges);
  const edges = lines(strong, l.at, d.drawn.edges);
  const nodes = list.map((n, i) => shape(d, i, l, pins.has(n.id), acts));
  const marks = s("g", { class: "marks", "aria-hidden": "true" });
  const svg = s(
    "svg",
    {
      class: "graph",
      viewBox: `0 0 ${WIDTH} ${l.height}`,
      role: "group",
      "aria-label": "attribution graph; arrow keys move along edges",
    },
    ground(d, l),
    edges.ground,
    edges.top,
    nodes,
    marks,
  ) as SVGSVGElement;
  let at = 0;
  let near = 1;
  const relabel = (zoom: number) => {
    near = zoom;
    const text = (i: number) => {
      const whole = label(d, list[i]);
      const cut = !list[i].label && whole.length > LONGEST;
      return cut ? `${whole.slice(0, LONGEST - 1)}…` : whole;
    };
    const found = place(list, text, l.at, zoom, at);
    marks.replaceChildren(
      ...found.map((m) => {
        const props = {
          x: m.x,
          y: m.y,
          css: { fontSize: `${(11 / zoom).toFixed(2)}px` },
          "text-anchor": "middle",
        };
        return s(
          "text",
          { class: m.i === at ? "mark on" : "mark", "data-node": m.i, ...props },
          m.text,
        );
      }),
    );
  };
  const light = (i: number, chosen: Set<string>) => {
    at = i;
    edges.light(i);
    nodes.forEach((el, k) => {
      el.classList.toggle("on", k === i);
      el.classList.toggle("chosen", chosen.has(list[k].id));
      el.setAttribute("tabindex", k === i ? "0" : "-1");
    });
    relabel(near);
  };
  const move = (i: number, x: number, y: number) => {
    l.at[i] = { ...l.at[i], x, y };
    for (const [k, v] of Object.entries(outline(list[i], l.at[i]).box))
      nodes[i].setAttribute(k, String(v));
    edges.moved(i);
    relabel(near);
  };
  const weight = (es: Edge[]) => es.reduce((a, e) => a + Math.abs(e.weight), 0);
  return {
    svg,
    height: l.height,
    nodes,
    left: d.drawn.edges.length - strong.length,
    share: weight(strong) / (weight(d.drawn.edges) || 1),
    light,
    relabel,
    move,
  };
}
