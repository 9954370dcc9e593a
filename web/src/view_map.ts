// view_map.ts: circuits of the recording in two dimensions: like lies near like.
import { polygonContains } from "d3-polygon";
import { h, hideTip, showTip, table } from "./dom";
import { count, percent, tokenText } from "./format";
import type { Eye, Points, Polygon } from "./map_canvas";
import { MapCanvas, pack } from "./map_canvas";
import { list, locate, pins } from "./map_prompt";
import { go, keep, read } from "./state";
import type { Info, Located, Map as Answer, Requests } from "./types";
import { button, card, choice, neuronLink, note, tick } from "./parts";
import { noCircuits, recordedLayer } from "./recorded";
import type { Recording } from "./recorded";
import type { Context, Drawing, View } from "./view";
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

export const fields = {
  by: "input", // or target
  top: 100, // so many tokens
  docs: 64, // documents; 0: all
  tint: "input", // or target, category, topic
  seek: "", // part of tokens that stand out
  eye: "", // "x,y,zoom"
  lit: "", // "channel.neuron" whose circuits stand out
  own: 1, // 1: the prompt's positions on it
  lasso: "", // "x,y;..."
};

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

/** What a map can be coloured by. */
function tints(info: Info): [string, string][] {
  const list: [string, string][] = [
    ["input", "token read"],
    ["target", "token to come"],
  ];
  if (info.worlds) list.push(["category", "category"]);
  if (info.worlds && !info.no_topics) list.push(["topic", "topic of the document"]);
  return list;
}

const TOPS = [30, 100, 300, 1000, 10000];
const DOCS = [16, 64, 128, 256, 512, 0];
function controls(c: Context) {
  const r = c.info.recording as Recording;
  const s = c.state;
  const docs = DOCS.filter((d) => d < r.documents || d === 0);
  const channels = Array.from({ length: r.channels }, (_, k): [number, number] => [k, k]);
  const all: [number, string | number][] = [[-1, "all"], ...channels];
  const by: [string, string][] = [
    ["input", "read"],
    ["target", "to come"],
  ];
  const fresh = { eye: "", lasso: "" };
  const top = TOPS.includes(s.top) ? s.top : 100;
  const doc = docs.includes(s.docs) ? s.docs : 0;
  const named = docs.map((d): [number, string | number] => [d, d || "all"]);
  return h(
    "div.row.toolbar",
    {},
    choice("map-layer", "layer ", r.layers, recordedLayer(c, r), (v) =>
      go({ layer: Number(v), lit: "", ...fresh }),
    ),
    choice("map-channel", "channel ", all, s.channel, (v) => go({ channel: Number(v), ...fresh })),
    choice("map-by", "most frequent tokens ", by, s.by, (v) => go({ by: v, ...fresh })),
    choice("map-top", "number ", TOPS, top, (v) => go({ top: Number(v), ...fresh })),
    choice("map-docs", "documents ", named, doc, (v) => go({ docs: Number(v), ...fresh })),
    choice("map-tint", "colour by ", tints(c.info), s.tint, (v) => go({ tint: v })),
    c.pos < 0 ? null : tick("own", "the prompt on it", s.own),
  );
}

/** Circuits in which the neuron of the address fires. */
async function litUp(c: Context, m: Answer): Promise<Uint8Array | null> {
  if (!c.state.lit) return null;
  const [channel, neuron] = c.state.lit.split(".").map(Number);
  const fires = new Set(
    (
      await c.server.call(
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
      const p = await c.server
        .call("place", { position: m.position[i] }, c.signal)
        .catch(() => null);
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

interface Data {
  m: Answer;
  lit: Uint8Array | null;
  own: Located | null;
}

const SETTLED = 120; // ms without a move until the eye stands in the address

/** The canvas, and what its moves do to the address. */
function canvas(c: Context, m: Answer, p: Points, name: (i: number) => string | null) {
  let timer = 0;
  const keepEye = (e: Eye) => {
    if (c.signal.aborted) return;
    keep({ eye: `${e.x.toFixed(4)},${e.y.toFixed(4)},${Number(e.zoom.toPrecision(4))}` });
  };
  const handlers = {
    eye: (e: Eye) => {
      clearTimeout(timer);
      timer = setTimeout(() => keepEye(e), SETTLED) as unknown as number;
    },
    lasso: (q: Polygon) => go({ lasso: write(q), eye: read().eye }),
    hover: hover(c, m, name),
    click: (i: number) =>
      go({ view: "corpus", place: m.position[i], find: "", units: "", layer: m.layer }),
  };
  const lasso = parseLasso(c.state.lasso);
  return new MapCanvas(p, parseEye(c.state.eye), lasso, handlers, faint(), c.signal);
}

function tools(view: MapCanvas) {
  const act = (text: string, label: string, f: (b: HTMLElement) => void) =>
    button(text, (e) => f(e.currentTarget as HTMLElement), { "aria-label": label });
  return h(
    "div.map-tools",
    {},
    act("+", "zoom in", () => view.zoom(1.4)),
    act("−", "zoom out", () => view.zoom(1 / 1.4)),
    act("all", "show all", () => view.look({ x: 0.5, y: 0.5, zoom: 1 })),
    act("lasso", "draw a lasso", (b) => {
      view.lassoing = !view.lassoing;
      b.setAttribute("aria-pressed", String(view.lassoing));
    }),
    act("choose what is seen", "choose what is seen", () => go({ lasso: write(view.view()) })),
  );
}

function draw(c: Context, { m, lit, own }: Data): Drawing {
  const tint = c.state.tint;
  const name = names(m, tint);
  const g = groups(m.n, name);
  const p = points(m, name, g.list);
  const lasso = parseLasso(c.state.lasso);
  const view = canvas(c, m, p, name);
  view.pin(pins(c, m, own));
  const side =
    lasso.length > 2 ? chosen(m, p, lasso, tint === "target") : [h("h2", {}, "Colours"), legend(g)];
  return {
    body: [
      card(
        h(
          "div.row.spread",
          {},
          h("h2", {}, `Map of ${count(m.n)} circuits: like lies near like`),
          search(c, m, view, lit),
        ),
        litNote(c, m, lit),
      ),
      h(
        "div.split",
        {},
        h("div.card", {}, view.el, tools(view)),
        h("div", {}, h("div.card", {}, side), list(m, own)),
      ),
      note(
        `Circuits of the ${count(m.labels.length)} most frequent tokens by UMAP over ` +
          "the cosine of " +
          `gates, ${(m.seconds ?? 0).toFixed(1)} s, kept until the explorer ends. Drag moves, ` +
          "wheel, pinch, + and − zoom; drag with shift draws a lasso; a click opens the place " +
          "in " +
          `the corpus.${c.info.no_topics ? ` No topics: ${c.info.no_topics}.` : ""}`,
      ),
    ],
    key(key) {
      if (key === "l") document.querySelector<HTMLElement>("[aria-label='draw a lasso']")?.click();
      else if (key === "s") document.getElementById("seek")?.focus();
      else return view.press(key);
      return true;
    },
  };
}

export const map: View<Data> = {
  name: "map",
  title: "Map",
  needsPrompt: false,
  about: "all circuits of a recorded text in two dimensions: like lies near like",
  letter: "m",
  missing: (info) => noCircuits(info, "its circuits are laid out so that like lies near like"),
  controls: (c) => [controls(c)],
  async load(c) {
    const r = c.info.recording as Recording;
    const s = c.state;
    const request: Requests["map"] = {
      layer: recordedLayer(c, r),
      ...(s.channel >= 0 && s.channel < r.channels ? { channel: s.channel } : {}),
      by: s.by === "target" ? "target" : "input",
      top: Math.max(1, Math.min(100000, Math.round(s.top))),
      documents: Math.max(0, Math.round(s.docs)),
    };
    const m = await c.server.stay("map", request, c.signal, c.progress);
    return { m, lit: await litUp(c, m), own: await locate(c, request) };
  },
  draw,
};
