// view_graph.ts: the attribution graph: nodes by layer and position, edges by their effect.
import { h, s, save, table, tipFor } from "./dom";
import { call } from "./api";
import { count, diverging, exact, max, percent, signed, tokenText } from "./format";
import { go } from "./state";
import type { Graph, Node } from "./types";
import type { Context, View } from "./view";
import { neuronLink, tokenBox, tokenChoices } from "./view";

const id = (n: Node) => (n.kind === "neuron" ? `${n.layer}.${n.channel}.${n.index}.${n.position}` : n.kind === "logit" ? `out.${n.token?.id}` : `${n.kind}.${n.layer}.${n.position}`);
function title(c: Context, n: Node) {
  if (n.kind === "neuron") return `layer ${n.layer} channel ${n.channel} neuron ${n.index} at ${n.position} ${tokenText(c.read.tokens[n.position].text)}`;
  if (n.kind === "logit") return `output ${tokenText(n.token?.text ?? "")} ${percent(n.probability ?? null)}`;
  if (n.kind === "bias") return `bias of layer ${n.layer} at ${n.position}`;
  return `input ${n.position} ${tokenText(n.token?.text ?? "")}`;
}

interface Place { x: number; y: number; r: number }
const W = 980, ROW = 74, LEFT = 62, FOOT = 48;

/** Positions with nodes share the width; nodes of one place stand side by side. */
function layout(c: Context, g: Graph): { at: Place[]; height: number; columns: Map<number, number>; wide: number } {
  const used = [...new Set(g.nodes.map((n) => n.position))].sort((a, b) => a - b), cells = new Map<string, number[]>();
  g.nodes.forEach((n, i) => {
    const key = `${n.layer} ${n.position}`;
    cells.set(key, [...(cells.get(key) ?? []), i]);
  });
  const outputs = g.nodes.filter((n) => n.kind === "logit").length;
  const weight = used.map((p) => Math.max(p === g.position ? 3.2 * outputs : 1.4, ...[...cells].filter(([k]) => Number(k.split(" ")[1]) === p).map(([, v]) => Math.min(v.length, 14))));
  const all = weight.reduce((a, x) => a + x, 0), wide = W - LEFT - 10, columns = new Map<number, number>(), span = new Map<number, number>();
  let x = LEFT;
  used.forEach((p, i) => {
    const w = (wide * weight[i]) / all;
    columns.set(p, x + w / 2);
    span.set(p, w);
    x += w;
  });
  const rows = c.info.model.layers + 2, height = rows * ROW + FOOT, at: Place[] = [], most = Math.max(1e-12, ...g.nodes.filter((n) => n.kind === "neuron").map((n) => n.influence ?? 0));
  for (const [key, list] of cells) {
    const [layer, p] = key.split(" ").map(Number), w = (span.get(p) ?? 10) * 0.86, lines = Math.ceil(list.length / 14);
    list.forEach((i, k) => {
      const line = Math.floor(k / 14), inLine = Math.min(14, list.length - 14 * line), n = g.nodes[i];
      at[i] = {
        x: (columns.get(p) ?? 0) + ((k % 14) - (inLine - 1) / 2) * Math.min(n.kind === "logit" ? 64 : 17, w / inLine), y: height - FOOT - (layer + 1.5) * ROW + (line - (lines - 1) / 2) * 12,
        r: n.kind === "neuron" ? 3 + 4.5 * Math.sqrt((n.influence ?? 0) / most) : n.kind === "bias" ? 3 : 7,
      };
    });
  }
  return { at, height, columns, wide };
}

function draw(c: Context, g: Graph, pins: Set<string>, select: (i: number) => void) {
  const { at, height, columns } = layout(c, g), most = max(g.edges.map((e) => e[2]));
  const edges = g.edges.map(([a, b, w]) => s("path", {
    d: `M${at[a].x.toFixed(1)} ${at[a].y.toFixed(1)}C${at[a].x.toFixed(1)} ${((at[a].y + at[b].y) / 2).toFixed(1)} ${at[b].x.toFixed(1)} ${((at[a].y + at[b].y) / 2).toFixed(1)} ${at[b].x.toFixed(1)} ${at[b].y.toFixed(1)}`,
    fill: "none", css: { stroke: diverging(w < 0 ? -1 : 1, 1), strokeWidth: `${(0.4 + 3 * Math.sqrt(Math.abs(w) / most)).toFixed(2)}px`, opacity: (0.08 + 0.5 * Math.sqrt(Math.abs(w) / most)).toFixed(3) },
  }));
  const labels = Array.from({ length: c.info.model.layers + 2 }, (_, k) => s("text", { class: "soft", x: 4, y: height - FOOT - (k + 0.5) * ROW + 4 }, k === 0 ? "input" : k > c.info.model.layers ? "output" : `layer ${k - 1}`));
  const words = [...columns].map(([p, x]) => s("text", { transform: `translate(${x + 4} ${height - FOOT - ROW / 2 + 22}) rotate(-38)`, "text-anchor": "end" }, tokenText(c.read.tokens[p].text).slice(0, 14)));
  const nodes = g.nodes.map((n, i) => {
    const el = s(n.kind === "neuron" || n.kind === "bias" ? "circle" : "rect", {
      class: pins.has(id(n)) ? "node pinned" : "node", tabindex: i === 0 ? 0 : -1, role: "button", "aria-label": title(c, n), "data-i": i,
      ...(n.kind === "neuron" || n.kind === "bias" ? { cx: at[i].x, cy: at[i].y, r: at[i].r } : { x: at[i].x - 7, y: at[i].y - 7, width: 14, height: 14, rx: 3 }),
      css: { fill: n.kind === "neuron" ? `rgb(var(--${(n.value ?? 0) < 0 ? "neg" : "pos"}))` : n.kind === "bias" ? "var(--soft)" : "var(--fg)" },
      onclick: () => select(i), onfocus: () => select(i),
    });
    return tipFor(el, () => [h("strong", {}, title(c, n)), n.value !== undefined ? h("div", {}, `value ${signed(n.value)}`) : null, h("div", {}, `influence ${percent(n.influence)}`)]);
  });
  const marks = g.nodes.map((n, i) => (n.kind === "logit" ? s("text", { x: at[i].x, y: at[i].y - 13, "text-anchor": "middle" }, tokenText(n.token?.text ?? "")) : null)).filter((x): x is SVGElement => x !== null);
  const svg = s("svg", { class: "graph", viewBox: `0 0 ${W} ${height}`, role: "group", "aria-label": "attribution graph; arrow keys move along edges" }, labels, words, edges, nodes, marks);
  const light = (i: number) => {
    g.edges.forEach(([a, b, w], k) => { edges[k].style.opacity = a === i || b === i ? "0.95" : String(0.04 + 0.12 * Math.sqrt(Math.abs(w) / most)); });
    nodes.forEach((el, k) => { el.classList.toggle("on", k === i); el.setAttribute("tabindex", k === i ? "0" : "-1"); });
  };
  return { svg, light, nodes };
}

function side(c: Context, g: Graph, i: number, pin: (i: number) => void, pinned: boolean, select: (i: number) => void) {
  const n = g.nodes[i];
  const list = (edges: [number, number, number][], other: 0 | 1, name: string) => {
    const sorted = [...edges].sort((a, b) => Math.abs(b[2]) - Math.abs(a[2]));
    return [h("h3", { css: { marginTop: "12px" } }, `${name} (${edges.length})`), edges.length ? table(["node", ">effect"], sorted.slice(0, 9).map((e) => [
      h("button.link", { type: "button", onclick: () => select(e[other]) }, title(c, g.nodes[e[other]]).replace("channel ", "c ").replace("neuron ", "n ")), h("span", { title: exact(e[2]) }, signed(e[2]))]), name) : h("p.note", {}, "none kept")];
  };
  return [h("h2", {}, title(c, n)),
    h("div.row", {}, h("button.small", { type: "button", onclick: () => pin(i) }, pinned ? "unpin (p)" : "pin (p)"), n.kind === "neuron" ? neuronLink(n.layer, n.channel ?? 0, n.index ?? 0) : null),
    n.input !== undefined ? h("p.note", {}, `Input ${signed(n.input, 5)}; all its edges, before pruning, add up to ${signed(n.edges_sum ?? null, 5)} (${(n.edges_abs ?? 0).toFixed(3)} in absolute terms).`) : null,
    list(g.edges.filter((e) => e[1] === i), 0, "from"), list(g.edges.filter((e) => e[0] === i), 1, "to")];
}

/** The picture on its own: the styles that the page gives it are written into it. */
function saved(svg: SVGElement): string {
  const copy = svg.cloneNode(true) as SVGElement, from = [svg, ...svg.querySelectorAll("*")], to = [copy, ...copy.querySelectorAll("*")];
  from.forEach((el, i) => {
    const style = getComputedStyle(el);
    for (const name of ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-size", "font-family"]) to[i].setAttribute(name, style.getPropertyValue(name));
    for (const name of ["style", "class", "tabindex", "data-i"]) to[i].removeAttribute(name);
  });
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return new XMLSerializer().serializeToString(copy);
}

let current: { g: Graph; i: number; select: (i: number) => void; pin: (i: number) => void; nodes: SVGElement[] } | null = null;

export const graph: View = {
  name: "graph", title: "Graph", needsPrompt: true,
  async show(c) {
    const targets = [c.state.target, c.state.against].filter(Boolean);
    const g = await call("graph", { ...c.prompt, position: c.pos, node_threshold: c.state.keep, ...(targets.length ? { targets } : {}) }, c.signal, c.progress);
    if (c.signal.aborted) return;
    const pins = new Set(c.state.pins.split(";").filter(Boolean)), box = h("div.card", { id: "graph-side" });
    const pin = (i: number) => {
      const key = id(g.nodes[i]);
      if (!pins.delete(key)) pins.add(key);
      go({ pins: [...pins].join(";") }, true);
    };
    const select = (i: number) => {
      drawing.light(i);
      if (current) current.i = i;
      box.replaceChildren(...side(c, g, i, pin, pins.has(id(g.nodes[i])), select).flat(9).filter((x): x is HTMLElement => x instanceof HTMLElement));
    };
    const drawing = draw(c, g, pins, select);
    const before = current?.g === g ? current.i : -1;
    current = { g, i: 0, select, pin, nodes: drawing.nodes };
    const neurons = g.nodes.filter((n) => n.kind === "neuron").length;
    c.panel.replaceChildren(
      h("div.card", {}, h("div.row.spread", {},
        h("div.row", {}, h("label", { for: "keep" }, "share of influence kept ", h("input", {
          id: "keep", type: "range", min: 0.2, max: 0.95, step: 0.05, value: c.state.keep, onchange: (e: Event) => go({ keep: Number((e.target as HTMLInputElement).value) }) })),
          tokenBox(c, "target", "output ", "most probable"), tokenBox(c, "against", "and ", "none"), tokenChoices(c)),
        h("div.row", {}, h("button.small", { type: "button", onclick: () => save("graph.svg", saved(drawing.svg), "image/svg+xml") }, "Save SVG"))),
        h("p.note", { id: "graph-share" }, `${count(g.nodes.length)} of ${count(g.all_nodes)} nodes shown (${neurons} neurons), ${count(g.edges.length)} edges. They hold ${percent(g.node_share)} of the influence, the edges ${percent(g.edge_share)} of theirs; kept paths lead ${percent(g.input_share)} of the outputs' input back to the tokens. Largest residue of a node's sum: ${g.worst_residue?.toExponential(1)}.`)),
      h("div.split", {}, h("div.card", {}, h("div.scroll", {}, drawing.svg), h("p.note", {}, "Blue raises, orange lowers; size is influence. Click a node for its edges; p pins.")), box));
    const first = before >= 0 ? before : g.nodes.findIndex((n) => (pins.size ? pins.has(id(n)) : n.kind === "logit"));
    select(Math.max(0, first));
    const around = drawing.svg.parentElement as HTMLElement, x = drawing.nodes[Math.max(0, first)].getBoundingClientRect().left;
    around.scrollLeft += x - around.getBoundingClientRect().left - around.clientWidth / 2;
  },
  key(_c, key) {
    if (!current || !current.nodes[current.i]?.isConnected) return false;
    const { g, i } = current;
    if (key === "p") current.pin(i);
    const edges = g.edges.filter((e) => (key === "ArrowUp" ? e[0] === i : key === "ArrowDown" ? e[1] === i : false)).sort((a, b) => Math.abs(b[2]) - Math.abs(a[2]));
    if (edges.length) {
      const to = edges[0][key === "ArrowUp" ? 1 : 0];
      current.select(to);
      (current.nodes[to] as unknown as HTMLElement).focus();
    }
    return key === "p" || key === "ArrowUp" || key === "ArrowDown";
  },
};
