// view_graph.ts: the attribution graph: nodes by layer and position, edges by their effect.
import { h, s, table, tipFor } from "./dom";
import { call, isOpened, keepOpened, recorded } from "./api";
import { count, exact, max, percent, signed, tokenText } from "./format";
import { go, keep } from "./state";
import type { Edge, Group, Part, Shape, Shapes } from "./graph_groups";
import { within } from "./graph_share";
import {
  nodeId,
  openGraph,
  readGroups,
  shapes,
  title as nodeTitle,
  writeGroups,
} from "./graph_groups";
import type { Graph, Node } from "./types";
import type { Context, View } from "./view";
import { neuronLink, tokenBox, tokenChoices } from "./view";

type Draft = { g: Graph; groups: Group[]; drawn: Shapes };
const many = (n: Shape) => n.members.length > 1;
const title = (g: Graph, n: Shape) =>
  n.label ? (many(n) ? `${n.label} (${n.members.length} nodes)` : n.label) : nodeTitle(g.tokens, n);
const amount = (n: Node) => n.influence ?? 1 - (n.cumulative ?? 1);
const headName = (p: Part) => (p.layer < 0 ? "no head" : `${p.layer}·${p.head}`);
/** More lines than these are a grey cloud, and slow; the lists count them all. */
const DRAWN = 4000;

interface Place {
  x: number;
  y: number;
  r: number;
}
const W = 980;
const ROW = 74;
const LEFT = 62;
const FOOT = 70;

/** Positions with nodes share the width; nodes of one place stand side by side. */
function layout(
  g: Graph,
  list: Shape[],
  layers: number,
): { at: Place[]; height: number; columns: Map<number, number>; wide: number } {
  const used = [...new Set(list.map((n) => n.position))].sort((a, b) => a - b);
  const cells = new Map<string, number[]>();
  list.forEach((n, i) => {
    const key = `${n.layer} ${n.position}`;
    const cell = cells.get(key);
    if (cell) cell.push(i);
    else cells.set(key, [i]);
  });
  const outputs = list.filter((n) => n.kind === "logit").length;
  const weight = used.map((p) =>
    [...cells].reduce(
      (most, [k, v]) =>
        Number(k.split(" ")[1]) === p ? Math.max(most, Math.min(v.length, 14)) : most,
      p === g.position ? 3.2 * outputs : 1.4,
    ),
  );
  const all = weight.reduce((a, x) => a + x, 0);
  const wide = W - LEFT - 10;
  const columns = new Map<number, number>();
  const span = new Map<number, number>();
  let x = LEFT;
  used.forEach((p, i) => {
    const w = (wide * weight[i]) / all;
    columns.set(p, x + w / 2);
    span.set(p, w);
    x += w;
  });
  const rows = layers + 2;
  const height = rows * ROW + FOOT;
  const at: Place[] = [];
  const most = Math.max(1e-12, max(list.filter((n) => n.kind === "neuron").map(amount)));
  for (const [key, cell] of cells) {
    const [layer, p] = key.split(" ").map(Number);
    const w = (span.get(p) ?? 10) * 0.86;
    const lines = Math.ceil(cell.length / 14);
    cell.forEach((i, k) => {
      const line = Math.floor(k / 14);
      const inLine = Math.min(14, cell.length - 14 * line);
      const n = list[i];
      at[i] = {
        x:
          (columns.get(p) ?? 0) +
          ((k % 14) - (inLine - 1) / 2) * Math.min(n.kind === "logit" ? 64 : 17, w / inLine),
        y: height - FOOT - (layer + 1.5) * ROW + (line - (lines - 1) / 2) * 12,
        r:
          n.kind === "neuron"
            ? 3 + 4.5 * Math.sqrt(Math.max(0, amount(n)) / most)
            : n.kind === "bias"
              ? 3
              : 7,
      };
    });
  }
  return { at, height, columns, wide };
}

/** The DRAWN of largest weight without sign; numbers sort faster than edges. */
function strongest(edges: Edge[]): Edge[] {
  if (edges.length <= DRAWN) return edges;
  const cut = Float64Array.from(edges, (e) => Math.abs(e.weight)).sort()[edges.length - DRAWN];
  const above = edges.filter((e) => Math.abs(e.weight) > cut);
  return [
    ...above,
    ...edges.filter((e) => Math.abs(e.weight) === cut).slice(0, DRAWN - above.length),
  ];
}

function draw(d: Draft, pins: Set<string>, choose: (i: number, more: boolean) => void) {
  const { g, drawn } = d;
  const { nodes: list } = drawn;
  const layers = list.reduce((m, n) => Math.max(m, n.kind === "logit" ? n.layer : n.layer + 1), 1);
  const { at, height, columns } = layout(g, list, layers);
  const most = max(drawn.edges.map((e) => e.weight));
  const strong = strongest(drawn.edges);
  const size = (e: Edge) => Math.sqrt(Math.abs(e.weight) / most);
  const edges = strong.map((e) => {
    const a = at[e.from];
    const b = at[e.to];
    const middle = ((a.y + b.y) / 2).toFixed(1);
    return s("path", {
      class: e.weight < 0 ? "edge neg" : "edge",
      d:
        `M${a.x.toFixed(1)} ${a.y.toFixed(1)}C${a.x.toFixed(1)} ${middle} ` +
        `${b.x.toFixed(1)} ${middle} ${b.x.toFixed(1)} ${b.y.toFixed(1)}`,
      "stroke-width": (0.4 + 3 * size(e)).toFixed(2),
    });
  });
  const labels = Array.from({ length: layers + 2 }, (_, k) =>
    s(
      "text",
      { class: "soft", x: 4, y: height - FOOT - (k + 0.5) * ROW + 4 },
      k === 0 ? "input" : k > layers ? "output" : `layer ${k - 1}`,
    ),
  );
  const words = [...columns].map(([p, x]) =>
    s(
      "text",
      {
        transform: `translate(${x + 4} ${height - FOOT - ROW / 2 + 22}) rotate(-56)`,
        "text-anchor": "end",
      },
      tokenText(g.tokens[p]?.text ?? String(p)).slice(0, 14),
    ),
  );
  const nodes = list.map((n, i) => {
    const round = n.kind === "neuron" || n.kind === "bias";
    const { x, y, r } = at[i];
    const half = many(n) ? Math.max(8, r) : 7;
    const el = s(round && !many(n) ? "circle" : "rect", {
      class: `node${pins.has(n.id) ? " pinned" : ""}`,
      tabindex: i === 0 ? 0 : -1,
      role: "button",
      "aria-label": title(g, n),
      "data-i": i,
      ...(round && !many(n)
        ? { cx: x, cy: y, r }
        : {
            x: x - half,
            y: y - half,
            width: 2 * half,
            height: 2 * half,
            rx: many(n) ? half / 1.5 : 3,
          }),
      css: {
        fill: many(n)
          ? "var(--accent)"
          : n.kind === "neuron"
            ? `rgb(var(--${(n.value ?? 0) < 0 ? "neg" : "pos"}))`
            : n.kind === "bias"
              ? "var(--soft)"
              : "var(--fg)",
      },
      onclick: (e: Event) => choose(i, (e as MouseEvent).shiftKey),
      onfocus: () => choose(i, false),
    });
    return tipFor(el, () => [
      h("strong", {}, title(g, n)),
      n.label && !many(n) ? h("div", {}, nodeTitle(g.tokens, n)) : null,
      n.value !== undefined ? h("div", {}, `value ${signed(n.value)}`) : null,
      h("div", {}, `influence ${percent(n.influence)}`),
    ]);
  });
  const marks = list.flatMap((n, i) =>
    n.label || n.kind === "logit"
      ? [
          s(
            "text",
            { x: at[i].x, y: at[i].y - 13, "text-anchor": "middle" },
            n.label ?? tokenText(n.token?.text ?? ""),
          ),
        ]
      : [],
  );
  const svg = s(
    "svg",
    {
      class: "graph",
      viewBox: `0 0 ${W} ${height}`,
      role: "group",
      "aria-label": "attribution graph; arrow keys move along edges",
    },
    labels,
    words,
    edges,
    nodes,
    marks,
  );
  const light = (i: number) => {
    strong.forEach((e, k) => {
      edges[k].setAttribute(
        "opacity",
        e.from === i || e.to === i ? "0.95" : (0.04 + 0.12 * size(e)).toFixed(3),
      );
    });
    nodes.forEach((el, k) => {
      el.classList.toggle("on", k === i);
      el.classList.toggle("chosen", chosen.has(list[k].id));
      el.setAttribute("tabindex", k === i ? "0" : "-1");
    });
  };
  const weight = (list: Edge[]) => list.reduce((a, e) => a + Math.abs(e.weight), 0);
  return {
    svg,
    light,
    nodes,
    left: drawn.edges.length - strong.length,
    share: weight(strong) / (weight(drawn.edges) || 1),
  };
}

/** Nodes held for a group: in the order they were chosen, of the view on screen. */
const chosen = new Set<string>();
interface Acts {
  select: (i: number) => void;
  pin: (i: number) => void;
  group: () => void;
  name: (i: number, label: string) => void;
  apart: (i: number) => void;
}

function side(d: Draft, i: number, pinned: boolean, acts: Acts) {
  const { g, drawn } = d;
  const n = drawn.nodes[i];
  const list = (edges: Edge[], other: "from" | "to", name: string) => {
    const sorted = [...edges].sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight));
    const split = sorted.some((e) => e.parts);
    return [
      h(
        "h3",
        { css: { marginTop: "12px" } },
        `${name} (${edges.length}), sum ${signed(
          edges.reduce((a, e) => a + e.weight, 0),
          3,
        )}`,
      ),
      edges.length
        ? table(
            ["node", ">effect", ...(split ? ["by head"] : [])],
            sorted.slice(0, 9).map((e) => [
              h(
                "button.link.wrap",
                { type: "button", onclick: () => acts.select(e[other]) },
                title(g, drawn.nodes[e[other]]).replace("channel ", "c ").replace("neuron ", "n "),
              ),
              h("span", { title: exact(e.weight), "data-exact": e.weight }, signed(e.weight)),
              ...(split
                ? [
                    h(
                      "span",
                      {
                        title: e.parts?.map((p) => `${headName(p)} ${exact(p.weight)}`).join(", "),
                      },
                      e.parts
                        ?.slice(0, 3)
                        .map((p) => h("div", {}, `${headName(p)} ${signed(p.weight, 3)}`)),
                    ),
                  ]
                : []),
            ]),
            name,
          )
        : h("p.note", {}, "none kept"),
    ];
  };
  const inGroup = n.label !== undefined;
  return [
    h("h2", {}, title(g, n)),
    h(
      "div.row",
      {},
      h(
        "label",
        { for: "node-name" },
        "name ",
        h("input", {
          id: "node-name",
          type: "text",
          value: n.label ?? "",
          placeholder: "none",
          onchange: (e: Event) => acts.name(i, (e.target as HTMLInputElement).value.slice(0, 80)),
        }),
      ),
    ),
    h(
      "div.row",
      { css: { marginTop: "8px" } },
      h(
        "button.small",
        { type: "button", onclick: () => acts.pin(i) },
        pinned ? "unpin (p)" : "pin (p)",
      ),
      chosen.size > 1
        ? h("button.small", { type: "button", onclick: acts.group }, `group ${chosen.size} (g)`)
        : null,
      inGroup && many(n)
        ? h("button.small", { type: "button", onclick: () => acts.apart(i) }, "take apart")
        : null,
      n.kind === "neuron" && !many(n) ? neuronLink(n.layer, n.channel ?? 0, n.index ?? 0) : null,
    ),
    inGroup && !many(n) ? h("p.note", {}, nodeTitle(g.tokens, n)) : null,
    many(n)
      ? h(
          "p.note",
          { id: "group-sum" },
          `Influence ${percent(n.influence)}, edges within ${signed(n.inside)}. `,
          n.members.slice(0, 12).map((m) => h("div", {}, nodeTitle(g.tokens, g.nodes[m]))),
          n.members.length > 12 ? `and ${n.members.length - 12} more` : "",
        )
      : null,
    n.input !== undefined
      ? h(
          "p.note",
          {},
          `Input ${signed(n.input, 5)}; all its edges, before pruning, add up to ` +
            `${signed(n.edges_sum ?? null, 5)} (${(n.edges_abs ?? 0).toFixed(3)} in ` +
            "absolute terms).",
        )
      : null,
    list(
      drawn.edges.filter((e) => e.to === i),
      "from",
      "from",
    ),
    list(
      drawn.edges.filter((e) => e.from === i),
      "to",
      "to",
    ),
  ];
}

let unsafe = ""; // an opened file that the browser could not keep
/** Reads a file of the user's and shows it; the file stays in this page alone. */
function opener() {
  const said = h("span.note", { role: "alert" });
  const file = h("input.hidden", {
    id: "open-graph",
    type: "file",
    accept: ".json,application/json",
    "aria-label": "a saved graph",
    tabindex: -1,
    onchange: async (e: Event) => {
      const input = e.target as HTMLInputElement;
      const f = input.files?.[0];
      if (!f) return;
      try {
        const { graph: g, groups } = openGraph(await f.text());
        let name = f.name; // another file of the same name is another graph
        for (let k = 2; isOpened(name); k++) name = `${f.name} (${k})`;
        unsafe = keepOpened(name, g) ? "" : name;
        go({ opened: name, groups, pins: "", node: "", share: 1 });
      } catch (x) {
        said.textContent = (x as Error).message;
      }
      input.value = ""; // the same file can be chosen again
    },
  }) as HTMLInputElement;
  return h(
    "span",
    {},
    h("button.small", { type: "button", onclick: () => file.click() }, "Open a saved graph"),
    file,
    said,
  );
}

async function fetchGraph(c: Context): Promise<Graph | null> {
  if (c.state.opened) {
    const body = { name: c.state.opened };
    return isOpened(c.state.opened) ? call("opened", body, c.signal) : null;
  }
  if (c.pos < 0) return null;
  const targets = [c.state.target, c.state.against].filter(Boolean);
  return call(
    "graph",
    {
      ...c.prompt,
      position: c.pos,
      node_threshold: c.state.keep,
      ...(targets.length ? { targets } : {}),
      ...(c.state.split ? { heads: true } : {}),
    },
    c.signal,
    c.progress,
  );
}

function nothing(c: Context) {
  c.panel.replaceChildren(
    h(
      "div.card",
      {},
      h("h2", {}, c.state.opened ? `${c.state.opened} is open no more` : "Type a text above"),
      h(
        "p",
        {},
        c.state.opened
          ? "A saved graph is read by this page alone and kept for its tab; this is " +
              "another tab, or the browser had no room for it. Open the file once more."
          : "You will see the graph of what made the prediction. A graph that was " +
              "saved opens without a text.",
      ),
      opener(),
    ),
  );
}

function controls(c: Context, held: number | null) {
  const name = c.state.opened;
  return h(
    "div.row.spread",
    {},
    name
      ? h(
          "div.row",
          {},
          h("strong", {}, name),
          unsafe === name ? h("span.note", {}, "too large to outlive a reload") : null,
          c.info.file === null && !recorded
            ? h(
                "button.small",
                {
                  type: "button",
                  onclick: () => go({ opened: "", groups: "", pins: "", share: 1 }),
                },
                "close the file",
              )
            : null,
          held === null
            ? null
            : h(
                "label",
                { for: "share" },
                "share of influence shown ",
                h("input", {
                  id: "share",
                  type: "range",
                  min: 0.1,
                  max: 1,
                  step: 0.05,
                  value: c.state.share,
                  onchange: (e: Event) =>
                    go({ share: Number((e.target as HTMLInputElement).value) }),
                }),
              ),
        )
      : h(
          "div.row",
          {},
          h(
            "label",
            { for: "keep" },
            "share of influence kept ",
            h("input", {
              id: "keep",
              type: "range",
              min: 0.2,
              max: 0.95,
              step: 0.05,
              value: c.state.keep,
              onchange: (e: Event) => go({ keep: Number((e.target as HTMLInputElement).value) }),
            }),
          ),
          tokenBox(c, "target", "output ", "most probable"),
          tokenBox(c, "against", "and ", "none"),
          tokenChoices(c),
          h(
            "label",
            { for: "split" },
            h("input", {
              id: "split",
              type: "checkbox",
              checked: c.state.split > 0,
              onchange: (e: Event) => go({ split: (e.target as HTMLInputElement).checked ? 1 : 0 }),
            }),
            "edges by head",
          ),
        ),
    recorded ? null : opener(),
  );
}

/** What shapes and colours mean. */
function graphLegend() {
  const dot = (css: object) => h("i", { css });
  const item = (mark: HTMLElement, text: string) => h("span", {}, mark, text);
  const plain = { width: "10px", height: "10px" };
  return h(
    "div.keys",
    {},
    item(dot({ ...plain, background: "var(--fg)", borderRadius: "2px" }), "token, output"),
    item(
      dot({ ...plain, background: "rgb(var(--pos))", borderRadius: "50%" }),
      "neuron, value above 0",
    ),
    item(dot({ ...plain, background: "rgb(var(--neg))", borderRadius: "50%" }), "below 0"),
    item(dot({ width: "18px", height: "3px", background: "rgb(var(--pos))" }), "edge that raises"),
    item(dot({ width: "18px", height: "3px", background: "rgb(var(--neg))" }), "lowers"),
    h("span", {}, "size: influence"),
  );
}

let current: { d: Draft; i: number; acts: Acts; nodes: SVGElement[] } | null = null;

function actions(d: Draft, pins: Set<string>, select: (i: number) => void): Acts {
  const of = (n: Shape) => n.members.map((m) => nodeId(d.g.nodes[m]));
  const without = (n: Shape) => d.groups.filter((x) => !x.ids.some((id) => of(n).includes(id)));
  const set = (groups: Group[]) => go({ groups: writeGroups(groups) });
  return {
    select,
    pin: (i) => {
      const key = d.drawn.nodes[i].id;
      if (!pins.delete(key)) pins.add(key);
      go({ pins: [...pins].join(";") }, true);
    },
    group: () => {
      const members = d.drawn.nodes.filter((n) => chosen.has(n.id));
      const ids = members.flatMap(of);
      if (members.length < 2) return;
      chosen.clear();
      set([
        ...d.groups.filter((x) => !x.ids.some((id) => ids.includes(id))),
        { label: members.find((n) => n.label)?.label ?? `group ${d.groups.length + 1}`, ids },
      ]);
    },
    name: (i, label) => {
      const n = d.drawn.nodes[i];
      set([...without(n), ...(label || many(n) ? [{ label: label || "group", ids: of(n) }] : [])]);
    },
    apart: (i) => set(without(d.drawn.nodes[i])),
  };
}

/** How much of the whole is on the screen. */
function account(
  g: Graph,
  whole: Graph,
  neurons: number,
  drawing: { left: number; share: number },
  held: number | null,
) {
  const drawn = drawing.left
    ? `of which the ${count(DRAWN)} strongest are drawn (${percent(drawing.share)} of the weight ` +
      "of all, without sign; the lists hold every edge)"
    : "all drawn";
  const who =
    held === null
      ? "They"
      : `Of the file's ${count(whole.nodes.length)} nodes these hold ${percent(held)} of all ` +
        "influence. The file's nodes";
  return (
    `${count(g.nodes.length)} of ${count(g.all_nodes)} nodes shown (${neurons} neurons), ` +
    `${count(g.edges.length)} edges, ${drawn}. ${who} hold ${percent(g.node_share)} of the ` +
    `influence, the edges ${percent(g.edge_share)} of theirs; kept paths lead ` +
    `${percent(g.input_share)} of the outputs' input back to the tokens. Largest residue of a ` +
    `node's sum: ${g.worst_residue?.toExponential(1) ?? "–"}.`
  );
}

export const graph: View = {
  name: "graph",
  title: "Graph",
  needsPrompt: false,
  about: "the paths from the text to the prediction, neuron by neuron",
  async show(c) {
    const whole = await fetchGraph(c);
    if (c.signal.aborted) return;
    if (!whole) return nothing(c);
    const { graph: g, held } = c.state.opened
      ? within(whole, c.state.share)
      : { graph: whole, held: null };
    const groups = readGroups(c.state.groups);
    const d: Draft = { g, groups, drawn: shapes(g, groups) };
    const list = d.drawn.nodes;
    let started = false;
    const pins = new Set(c.state.pins.split(";").filter(Boolean));
    const box = h("div.card", { id: "graph-side" });
    const select = (i: number) => {
      drawing.light(i);
      if (current) current.i = i;
      if (started) keep({ node: list[i].id });
      const field = document.activeElement?.id === "node-name";
      if (!field)
        box.replaceChildren(
          ...side(d, i, pins.has(list[i].id), acts)
            .flat(9)
            .filter((x): x is HTMLElement => x instanceof HTMLElement),
        );
    };
    const choose = (i: number, more: boolean) => {
      if (more) {
        if (!chosen.delete(list[i].id)) chosen.add(list[i].id);
      }
      select(i);
    };
    const acts = actions(d, pins, select);
    const drawing = draw(d, pins, choose);
    const before = c.state.node;
    current = { d, i: 0, acts, nodes: drawing.nodes };
    const neurons = g.nodes.filter((n) => n.kind === "neuron").length;
    c.panel.replaceChildren(
      h(
        "div.card",
        {},
        controls(c, held),
        h(
          "p.note",
          { id: "graph-share", "data-share": drawing.share },
          account(g, whole, neurons, drawing, held !== null && c.state.share < 1 ? held : null),
        ),
      ),
      h(
        "div.split",
        {},
        h(
          "div.card",
          {},
          graphLegend(),
          h("div.scroll", {}, drawing.svg),
          h(
            "p.note",
            {},
            "Click a node for its edges, arrows walk along them; p pins it. " +
              "Shift-click or x holds nodes, g makes them one, r names.",
          ),
        ),
        box,
      ),
    );
    const first =
      before && list.findIndex((n) => n.id === before) >= 0
        ? list.findIndex((n) => n.id === before)
        : list.findIndex((n) => (pins.size ? pins.has(n.id) : n.kind === "logit"));
    select(Math.max(0, first));
    started = true;
    const around = drawing.svg.parentElement as HTMLElement;
    const x = drawing.nodes[Math.max(0, first)].getBoundingClientRect().left;
    around.scrollLeft += x - around.getBoundingClientRect().left - around.clientWidth / 2;
  },
  key(_c, key) {
    if (!current || !current.nodes[current.i]?.isConnected) return false;
    const { d, i, acts } = current;
    if (key === "p") acts.pin(i);
    if (key === "g") acts.group();
    if (key === "r") document.getElementById("node-name")?.focus();
    if (key === "x") {
      const id = d.drawn.nodes[i].id;
      if (!chosen.delete(id)) chosen.add(id);
      acts.select(i);
    }
    const edges = d.drawn.edges
      .filter((e) => (key === "ArrowUp" ? e.from === i : key === "ArrowDown" ? e.to === i : false))
      .sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight));
    if (edges.length) {
      const to = key === "ArrowUp" ? edges[0].to : edges[0].from;
      acts.select(to);
      (current.nodes[to] as unknown as HTMLElement).focus();
    }
    return ["p", "g", "r", "x", "ArrowUp", "ArrowDown"].includes(key);
  },
};
