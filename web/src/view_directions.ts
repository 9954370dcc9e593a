// view_directions.ts: singular directions of a head, a layer or the embedding, by what stands at
// their ends.
import { h, table } from "./dom";
import { percent, token } from "./format";
import type { Shown } from "./format";
import { go } from "./state";
import type { Directions, Requests } from "./types";
import { card, choice, neuronLink, note, number } from "./parts";
import type { Context, View } from "./view";

export const fields = {
  matrix: "ov",
  distance: 0, // of qk
  cosine: 0, // 1: nearest by cosine
};

type Way = Directions["directions"][number];
type End = Way["left"]["ends"][number];

const matrices: [string, string][] = [
  ["ov", "OV: what a head copies"],
  ["qk", "QK: what a head compares"],
  ["mlp_in", "what a feedforward layer reads"],
  ["mlp_out", "what a feedforward layer writes"],
  ["embedding", "embedding"],
  ["embedding_centred", "embedding less its mean"],
];
const isHead = (matrix: string) => matrix === "ov" || matrix === "qk";
const hasLayer = (matrix: string) => isHead(matrix) || matrix.startsWith("mlp");

function request(c: Context): Requests["directions"] {
  const s = c.state;
  return {
    matrix: s.matrix as Requests["directions"]["matrix"],
    layer: Math.min(Math.max(0, s.layer), c.info.model.layers - 1),
    head: s.head,
    distance: s.matrix === "qk" ? s.distance : 0,
    cosine: s.cosine > 0,
    ...(s.matrix.startsWith("mlp") && s.channel >= 0 ? { channel: s.channel } : {}),
  };
}

function controls(c: Context) {
  const s = c.state;
  const q = request(c);
  const layers = Array.from({ length: c.info.model.layers }, (_, l) => l);
  const heads = Array.from({ length: c.info.model.heads }, (_, l) => l);
  const onchange = (e: Event) => go({ distance: Number((e.target as HTMLInputElement).value) });
  const box = { id: "distance", type: "number", min: 0, max: 1000, value: s.distance, onchange };
  return [
    h(
      "div.row.toolbar",
      {},
      choice("matrix", "matrix ", matrices, s.matrix, (matrix) => go({ matrix })),
      hasLayer(s.matrix)
        ? choice("layer", "layer ", layers, q.layer ?? 0, (v) => go({ layer: Number(v) }))
        : null,
      isHead(s.matrix)
        ? choice("head", "head ", heads, s.head, (v) => go({ head: Number(v) }))
        : null,
      s.matrix === "qk"
        ? h("label", { for: "distance" }, "positions back ", h("input", box))
        : null,
      choice(
        "cosine",
        "nearest by ",
        [
          [0, "product"],
          [1, "cosine"],
        ],
        s.cosine,
        (v) => go({ cosine: Number(v) }),
      ),
    ),
  ];
}

const names: Record<string, string> = {
  read: "reads",
  written: "writes",
  neurons: "neurons",
  tokens: "tokens",
};

const parts = (end: End, layer: number) =>
  end.map((x) => [
    x.id === undefined
      ? neuronLink(layer, x.channel as number, x.index as number)
      : token(x as Shown & { id: number }),
    " ",
  ]);

function direction(a: Directions, w: Way) {
  const qk = a.matrix === "qk";
  const sides: [string, Way["left"]][] = [
    [qk ? "queries" : names[w.left.side], w.left],
    [qk ? "keys" : names[w.right.side], w.right],
  ];
  const rows = [0, 1].flatMap((k) =>
    sides.map(([name, side]) => [
      h("span.nowrap", {}, `${name} ${k ? "−" : "+"}`),
      h("span", {}, parts(side.ends[k] ?? [], a.layer ?? 0)),
    ]),
  );
  const tied =
    w.subspace !== w.index || a.directions[w.index + 1]?.subspace === w.subspace
      ? `, one of those from ${w.subspace} on whose values lie close together`
      : "";
  return card(
    h("h2", {}, `Direction ${w.index}`),
    note("value ", number(w.value), `, ${percent(w.share)} of the squares${tied}`),
    table(["", "nearest"], rows, `ends of direction ${w.index}`),
  );
}

export const directions: View<Directions> = {
  name: "directions",
  title: "Directions",
  needsPrompt: false,
  about: "what the weights of a head or a layer read and write, by their singular directions",
  controls,
  load: (c) => c.server.call("directions", request(c), c.signal, c.progress),
  draw: (_c, a) => ({
    body: [
      note(
        `${a.values.length} directions; both ends of each, the one with the larger products `,
        "first. A list reads well of almost any subspace that holds frequent words: ",
        h("code", {}, "sgatlin svd score"),
        " holds them against random ones.",
      ),
      h(
        "div.grid",
        {},
        a.directions.map((w) => direction(a, w)),
      ),
    ],
  }),
};
