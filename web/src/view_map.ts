// view_map.ts: circuits of the recording in two dimensions: like lies near like.
import { polygonContains } from "d3-polygon";
import { call } from "./api";
import { h, hideTip, showTip, table } from "./dom";
import { count, percent, tokenText } from "./format";
import type { Eye, Points, Polygon } from "./map_canvas";
import { MapCanvas, pack } from "./map_canvas";
import { list, locate, pins, toggle } from "./map_prompt";
import { go, keep, read } from "./state";
import type { Info, Located, Map as Answer } from "./types";
import type { Context, View } from "./view";
import { neuronLink } from "./view";
import { excerpt } from "./view_corpus";

const light = [
  "#1f5fa8",
  "#c2570c",
  "#2b8a57",
  "#8e44ad",
  "#b8322a",
  "#0c8791",
  "#8f7400",
  "#c9408c",
  "#5b3f1f",
  "#4e63d1",
  "#6a9a1f",
  "#2d3a45",
];
const dark = [
  "#6cabf5",
  "#f0933b",
  "#5fc98e",
  "#c68be0",
  "#f07167",
  "#4fc6cf",
  "#d8b93a",
  "#f284bd",
  "#bf9a6b",
  "#93a3ff",
  "#a9d45c",
  "#dfe5ea",
];
const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;
const grey = () => (isDark() ? "#4b545e" : "#b3bac2");
const faint = () => pack(isDark() ? "#2c333b" : "#e3e6e9");
type Recording = NonNullable<Info["recording"]>;
interface Group {
  name: string;
  count: number;
  colour: string;
}

/** The name by which a point is coloured, null where it has none. */
function names(m: Answer, tint: string): (i: number) => string | null {
  const tokens = new Map(m.tokens.map((t) => [t.id, t]));
  const text = (id: number) => tokenText(tokens.get(id)?.token ?? `#${id}`);
  if (tint === "target") return (i) => text(m.target[i]);
  if (tint === "category") return (i) => tokens.get(m.input[i])?.category ?? null;
  if (tint === "topic") return (i) => m.topics?.[m.topic[i]] ?? null;
  return (i) => text(m.input[i]);
}

/** The most frequent names have colours of their own, the rest is grey. */
function groups(n: number, name: (i: number) => string | null) {
  const counts = new Map<string, number>();
  const palette = isDark() ? dark : light;
  let none = 0;
  for (let i = 0; i < n; i++) {
    const k = name(i);
    if (k === null) none++;
    else counts.set(k, (counts.get(k) ?? 0) + 1);
  }
  const list: Group[] = [...counts]
    .sort((a, b) => b[1] - a[1])
    .slice(0, palette.length)
    .map(([k, c], i) => ({ name: k, count: c, colour: palette[i] }));
  return { list, rest: n - none - list.reduce((a, g) => a + g.count, 0), none };
}

function points(m: Answer, name: (i: number) => string | null, list: Group[]): Points {
  const n = m.n;
  const x = new Float32Array(n);
  const y = new Float32Array(n);
  const colour = new Uint32Array(n);
  const of = new Map(list.map((g) => [g.name, pack(g.colour)]));
  const other = pack(grey());
  let x0 = Infinity;
  let x1 = -Infinity;
  let y0 = Infinity;
  let y1 = -Infinity;
  for (let i = 0; i < n; i++) {
    x0 = Math.min(x0, m.x[i]);
    x1 = Math.max(x1, m.x[i]);
    y0 = Math.min(y0, m.y[i]);
    y1 = Math.max(y1, m.y[i]);
  }
  const side = Math.max(x1 - x0, y1 - y0, 1e-9);
  for (let i = 0; i < n; i++) {
    x[i] = (m.x[i] - (x0 + x1) / 2) / side + 0.5;
    y[i] = 0.5 - (m.y[i] - (y0 + y1) / 2) / side;
    colour[i] = of.get(name(i) ?? "") ?? other;
  }
  return { n, x, y, colour, under: other };
}

const parseEye = (s: string): Eye => {
  const [x, y, zoom] = s.split(",").map(Number);
  return [x, y, zoom].every(Number.isFinite) && zoom > 0
    ? { x, y, zoom: Math.min(400, zoom) }
    : { x: 0.5, y: 0.5, zoom: 1 };
};
const parseLasso = (s: string): Polygon =>
  s
    .split(";")
    .map((p) => p.split(",").map(Number))
    .filter((p) => p.length === 2 && p.every(Number.isFinite))
    .slice(0, 100) as Polygon;
const write = (p: Polygon) => p.map(([x, y]) => `${x.toFixed(4)},${y.toFixed(4)}`).join(";");

function legend(g: ReturnType<typeof groups>) {
  const row = (colour: string, name: string, n: number) =>
    h(
      "li",
      {},
      h("i", { css: { background: colour } }),
      h("span.mono", {}, name),
      h("span.soft", {}, count(n)),
    );
  return h(
    "ul.map-legend",
    { "aria-label": "colours" },
    g.list.map((x) => row(x.colour, x.name, x.count)),
    g.rest ? row(grey(), "others", g.rest) : null,
    g.none ? row(grey(), "none or several", g.none) : null,
  );
}

/** The chosen tokens, each with how often, and one of its circuits. */
function chosen(m: Answer, p: Points, polygon: Polygon, target: boolean) {
  const found = new Map<number, { n: number; at: number }>();
  let all = 0;
  for (let i = 0; i < p.n; i++) {
    if (!polygonContains(polygon, [p.x[i], p.y[i]])) continue;
    const id = target ? m.target[i] : m.input[i];
    const f = found.get(id);
    all++;
    if (f) f.n++;
    else found.set(id, { n: 1, at: m.position[i] });
  }
  const text = new Map(m.tokens.map((t) => [t.id, t.token]));
  const list = [...found].sort((a, b) => b[1].n - a[1].n);
  return [
    h(
      "h2",
      {},
      "Chosen: ",
      h("span", { id: "chosen", "data-count": all }, count(all)),
      ` circuits of ${count(list.length)} tokens`,
    ),
    table(
      ["token", ">circuits", ""],
      list.slice(0, 60).map(([id, f]) => [
        h("span.mono", { title: `id ${id}` }, tokenText(text.get(id) ?? `#${id}`)),
        count(f.n),
        h(
          "button.link",
          {
            type: "button",
            onclick: () => go({ view: "corpus", place: f.at, find: "", units: "", layer: m.layer }),
          },
          "its circuit",
          h("span.hidden", {}, ` ${text.get(id) ?? id}`),
        ),
      ]),
      "chosen tokens",
    ),
    h("button.small", { type: "button", onclick: () => go({ lasso: "" }) }, "choose none"),
  ];
}

function choice(
  id: string,
  label: string,
  options: [string | number, string | number][],
  now: string | number,
  set: (v: string) => void,
) {
  return h(
    "label",
    { for: id },
    label,
    h(
      "select",
      { id, onchange: (e: Event) => set((e.target as HTMLSelectElement).value) },
      options.map(([v, t]) => h("option", { value: v, selected: v === now }, t)),
    ),
  );
}

function controls(c: Context, r: Recording, layer: number, find: HTMLElement | null) {
  const tops = [30, 100, 300, 1000, 10000];
  const docs = [16, 64, 128, 256, 512, 0].filter((d) => d < r.documents || d === 0);
  const s = c.state;
  const tints: [string, string][] = [
    ["input", "token read"],
    ["target", "token to come"],
    ...(c.info.worlds ? ([["category", "category"]] as [string, string][]) : []),
    ...(c.info.worlds && !c.info.no_topics
      ? ([["topic", "topic of the document"]] as [string, string][])
      : []),
  ];
  const fresh = { eye: "", lasso: "" };
  return h(
    "div.row",
    {},
    choice(
      "map-layer",
      "layer ",
      r.layers.map((l) => [l, l]),
      layer,
      (v) => go({ layer: Number(v), lit: "", ...fresh }),
    ),
    choice(
      "map-channel",
      "channel ",
      [[-1, "all"], ...Array.from({ length: r.channels }, (_, k) => [k, k] as [number, number])],
      s.channel,
      (v) => go({ channel: Number(v), ...fresh }),
    ),
    choice(
      "map-by",
      "most frequent tokens ",
      [
        ["input", "read"],
        ["target", "to come"],
      ],
      s.by,
      (v) => go({ by: v, ...fresh }),
    ),
    choice(
      "map-top",
      "number ",
      tops.map((t) => [t, t]),
      tops.includes(s.top) ? s.top : 100,
      (v) => go({ top: Number(v), ...fresh }),
    ),
    choice(
      "map-docs",
      "documents ",
      docs.map((d) => [d, d || "all"]),
      docs.includes(s.docs) ? s.docs : 0,
      (v) => go({ docs: Number(v), ...fresh }),
    ),
    choice("map-tint", "colour by ", tints, s.tint, (v) => go({ tint: v })),
    toggle(c),
    find,
  );
}

/** Circuits in which the neuron of the address fires. */
async function litUp(c: Context, m: Answer): Promise<Uint8Array | null> {
  if (!c.state.lit) return null;
  const [channel, neuron] = c.state.lit.split(".").map(Number);
  const fires = new Set(
    (
      await call(
        "fires",
        {
          layer: m.layer,
          neurons: [{ channel, neuron }],
          documents: Math.max(0, Math.round(c.state.docs)),
        },
        c.signal,
      )
    ).positions,
  );
  return Uint8Array.from(m.position, (p) => (fires.has(p) ? 1 : 0));
}
function litNote(c: Context, m: Answer, lit: Uint8Array | null) {
  if (!lit) return null;
  const [channel, neuron] = c.state.lit.split(".").map(Number);
  const n = lit.reduce((a, x) => a + x, 0);
  return h(
    "p",
    { id: "lit", "data-count": n },
    "Standing out: the ",
    h("strong", {}, count(n)),
    " circuits in which ",
    neuronLink(m.layer, channel, neuron),
    ` fires (${percent(n / m.n)}). `,
    h("button.small", { type: "button", onclick: () => go({ lit: "" }) }, "show all"),
  );
}

function search(c: Context, m: Answer, view: MapCanvas, lit: Uint8Array | null) {
  const texts = new Map(m.tokens.map((t) => [t.id, (t.token ?? "").toLowerCase()]));
  const out = h("output", { id: "found", class: "soft" });
  const mark = (s: string) => {
    const want = s.toLowerCase();
    const marked = new Uint8Array(m.n);
    const ids = c.state.tint === "target" ? m.target : m.input;
    let n = 0;
    if (want)
      for (let i = 0; i < m.n; i++)
        if ((texts.get(ids[i]) ?? "").includes(want)) {
          marked[i] = 1;
          n++;
        }
    view.mark(want ? marked : lit);
    out.textContent = want ? `${count(n)} found` : "";
  };
  mark(c.state.seek);
  return h(
    "label",
    { for: "seek" },
    "find ",
    h("input", {
      id: "seek",
      type: "text",
      value: c.state.seek,
      placeholder: "part of a token",
      oninput: (e: Event) => {
        const v = (e.target as HTMLInputElement).value;
        keep({ seek: v });
        mark(v);
      },
    }),
    out,
  );
}

function hover(c: Context, m: Answer, name: (i: number) => string | null) {
  let timer = 0;
  let last = -1;
  return (i: number, at: HTMLElement) => {
    if (i === last) return;
    last = i;
    clearTimeout(timer);
    if (i < 0) return hideTip();
    const head = h(
      "div",
      {},
      h("strong", {}, `${m.document[i]}:${m.place[i]} `),
      h("span.mono", {}, name(i) ?? ""),
    );
    showTip(at, head);
    timer = setTimeout(async () => {
      const p = await call("place", { position: m.position[i] }, c.signal).catch(() => null);
      if (p && last === i && !c.signal.aborted)
        showTip(at, [
          head,
          h("div", {}, excerpt(p)),
          h(
            "div.soft",
            {},
            "expects ",
            p.predictions
              .slice(0, 3)
              .map((t) => tokenText(t ?? ""))
              .join("  "),
          ),
        ]);
    }, 60) as unknown as number;
  };
}

function draw(
  c: Context,
  r: Recording,
  layer: number,
  m: Answer,
  lit: Uint8Array | null,
  own: Located | null,
) {
  const tint = c.state.tint;
  const name = names(m, tint);
  const g = groups(m.n, name);
  const p = points(m, name, g.list);
  const lasso = parseLasso(c.state.lasso);
  let timer = 0;
  const view = new MapCanvas(
    p,
    parseEye(c.state.eye),
    lasso,
    {
      eye: (e) => {
        clearTimeout(timer);
        timer = setTimeout(() => {
          if (!c.signal.aborted)
            keep({ eye: `${e.x.toFixed(4)},${e.y.toFixed(4)},${Number(e.zoom.toPrecision(4))}` });
        }, 120) as unknown as number;
      },
      lasso: (q) => go({ lasso: write(q), eye: read().eye }),
      hover: hover(c, m, name),
      click: (i) =>
        go({ view: "corpus", place: m.position[i], find: "", units: "", layer: m.layer }),
    },
    faint(),
    c.signal,
  );
  view.pin(pins(c, m, own));
  const button = (text: string, label: string, f: (b: HTMLElement) => void) =>
    h(
      "button.small",
      {
        type: "button",
        "aria-label": label,
        onclick: (e: Event) => f(e.currentTarget as HTMLElement),
      },
      text,
    );
  const tools = h(
    "div.map-tools",
    {},
    button("+", "zoom in", () => view.zoom(1.4)),
    button("−", "zoom out", () => view.zoom(1 / 1.4)),
    button("all", "show all", () => view.look({ x: 0.5, y: 0.5, zoom: 1 })),
    button("lasso", "draw a lasso", (b) => {
      view.lassoing = !view.lassoing;
      b.setAttribute("aria-pressed", String(view.lassoing));
    }),
    button("choose what is seen", "choose what is seen", () => go({ lasso: write(view.view()) })),
  );
  c.panel.replaceChildren(
    h(
      "div.card",
      {},
      h("h2", {}, `Map of ${count(m.n)} circuits `),
      controls(c, r, layer, search(c, m, view, lit)),
      litNote(c, m, lit),
    ),
    h(
      "div.split",
      {},
      h("div.card", {}, view.el, tools),
      h(
        "div",
        {},
        h(
          "div.card",
          {},
          lasso.length > 2
            ? chosen(m, p, lasso, tint === "target")
            : [h("h2", {}, "Colours"), legend(g)],
        ),
        list(m, own),
      ),
    ),
    h(
      "p.note",
      {},
      `Circuits of the ${count(m.labels.length)} most frequent tokens by UMAP over ` +
        `the cosine of gates, ${(m.seconds ?? 0).toFixed(1)} s, kept until the explorer ` +
        "ends. Drag moves, wheel, pinch, + and − zoom; drag with shift draws a lasso; a " +
        "click opens the place in the " +
        `corpus.${c.info.no_topics ? ` No topics: ${c.info.no_topics}.` : ""}`,
    ),
  );
  current = view;
}

export const map: View = {
  name: "map",
  title: "Map",
  needsPrompt: false,
  about: "all circuits of a recorded text in two dimensions: like lies near like",
  letter: "m",
  async show(c) {
    const r = c.info.recording;
    const s = c.state;
    if (!r) {
      c.panel.replaceChildren(
        h(
          "div.card",
          {},
          h("h2", {}, "Map"),
          h(
            "p",
            {},
            "No recording is open. Make one with sgatlin record MODEL --data FILE -o " +
              "REC, and start the explorer with --recording REC: its circuits are laid " +
              "out so that like lies near like.",
          ),
        ),
      );
      return;
    }
    const layer = r.layers.includes(s.layer) ? s.layer : r.layers[r.layers.length - 1];
    const request = {
      layer,
      ...(s.channel >= 0 && s.channel < r.channels ? { channel: s.channel } : {}),
      by: s.by === "target" ? "target" : "input",
      top: Math.max(1, Math.min(100000, Math.round(s.top))),
      documents: Math.max(0, Math.round(s.docs)),
    };
    const m = await call("map", request, c.signal, c.progress).catch((e: Error) => {
      if (!c.signal.aborted)
        c.panel.replaceChildren(
          h("div.card", {}, h("h2", {}, "Map"), controls(c, r, layer, null)),
          h("div.card.error", { role: "alert" }, h("p", {}, e.message)),
        );
      return null;
    });
    if (!m || c.signal.aborted) return;
    const lit = await litUp(c, m);
    const own = await locate(c, request);
    if (!c.signal.aborted) draw(c, r, layer, m, lit, own);
  },
  key(_c, key) {
    if (!current?.canvas.isConnected) return false;
    if (key === "l") document.querySelector<HTMLElement>("[aria-label='draw a lasso']")?.click();
    else if (key === "s") document.getElementById("seek")?.focus();
    else return current.press(key);
    return true;
  },
};
let current: MapCanvas | null = null; // on screen
