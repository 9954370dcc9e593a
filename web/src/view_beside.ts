// view_beside.ts: two models on one prompt: what each expects, and its graph behind one token. A
// model whose layers transcoders stand for shows their features, and what they miss.
import { h, table } from "./dom";
import { count, percent, raw, signed, tokenText } from "./format";
import { draw } from "./graph_draw";
import type { Draft } from "./graph_draw";
import { GraphEye } from "./graph_eye";
import { acts, shapes, title } from "./graph_groups";
import { WIDTH } from "./graph_layout";
import { edgeList } from "./graph_side";
import { labelsOf } from "./labels";
import type { Labels } from "./labels";
import { button, card, note, predicted, slider, tokenBox, tokenChoices } from "./parts";
import type { Graph, Info, Predict } from "./types";
import type { Context, View } from "./view";

export const fields = {}; // text, position, target and the graph's share are the other views'

type Model = NonNullable<Info["model"]>;
interface Side {
  model: Model;
  features: string | null; // name of the transcoders
  read: Predict;
  graph: Graph;
  labels: Labels;
}
interface Data {
  sides: [Side, Side];
  token: string; // that both are asked about
}

async function load(c: Context): Promise<Data> {
  const { info, state } = c;
  const b = info.beside as NonNullable<Info["beside"]>;
  const best = c.read.predictions[c.pos][0];
  const target = state.target || `id:${best.id}`;
  const graph = (features: boolean, beside: boolean) =>
    c.server.call(
      "graph",
      {
        ...c.prompt,
        position: c.pos,
        node_threshold: state.keep,
        targets: [target],
        ...(features ? { features: true } : {}),
        ...(beside ? { beside: true } : {}),
      },
      c.signal,
      c.progress,
    );
  const [mine, other] = [info.sparse !== null, b.sparse !== null];
  const first = await graph(mine, false);
  const second = await graph(other, true);
  const read = await c.server.call(
    "predict",
    { ...c.prompt, top: 10, beside: true },
    c.signal,
    c.progress,
  );
  const at = (g: Graph) =>
    g.nodes.filter(acts).map((n) => ({
      layer: n.layer,
      channel: n.channel ?? 0,
      index: n.index ?? 0,
      label: n.label,
    }));
  const told = (g: Graph): Labels =>
    new Map(
      at(g).flatMap((n) => (n.label ? [[`${n.layer}.0.${n.index}`, n.label]] : [])) as [
        string,
        string,
      ][],
    );
  return {
    token: first.nodes.find((n) => n.kind === "logit")?.token?.text ?? best.text,
    sides: [
      {
        model: info.model,
        features: info.sparse?.name ?? null,
        read: c.read,
        graph: first,
        labels: mine ? told(first) : await labelsOf(c, at(first)),
      },
      {
        model: b.model,
        features: b.sparse?.name ?? null,
        read,
        graph: second,
        labels: told(second),
      },
    ],
  };
}

const mean = (p: Predict) => {
  const own = p.losses.filter((x): x is number => x !== null);
  return own.length ? own.reduce((a, x) => a + x, 0) / own.length : null;
};
const probability = (s: Side) => s.graph.nodes.find((n) => n.kind === "logit")?.probability ?? null;

/** One model's numbers as a column of the table. */
function facts({ sides }: Data) {
  const row = (name: string, of: (s: Side) => Node | string | null) => [
    name,
    of(sides[0]),
    of(sides[1]),
  ];
  const nodes = (s: Side) => s.graph.nodes.filter(acts).length;
  return table(
    ["", sides[0].model.name, sides[1].model.name],
    [
      row("feedforward", (s) => s.model.feedforward),
      row("parameters", (s) => count(s.model.parameters)),
      row("explained by", (s) => (s.features ? `features of ${s.features}` : "its own neurons")),
      row("mean loss of the text", (s) => mean(s.read)?.toFixed(3) ?? "–"),
      row("probability of the token", (s) => percent(probability(s))),
      row("shown", (s) => `${nodes(s)} of ${count(s.graph.all_nodes)} nodes`),
      row("error: of the logit's input, what the nodes miss", (s) =>
        h(
          "span",
          { class: "error-share", "data-exact": s.graph.error_share ?? 0 },
          s.graph.features ? percent(s.graph.error_share ?? null) : "none: the sum is exact",
        ),
      ),
      row("largest residue of a node", (s) => s.graph.worst_residue?.toExponential(1) ?? "–"),
    ],
    "both models",
  );
}

const SMALL = 0.66; // two drawings share the width: letters as large as in one

const heading = (s: Side) =>
  h("h2", {}, s.model.name, h("span.soft", {}, s.features ? ` · ${s.features}` : " · neurons"));

function column(s: Side, k: number, pos: number) {
  const g = s.graph;
  const d: Draft = {
    g,
    groups: [],
    drawn: shapes(g, []),
    labels: s.labels,
    moved: new Map(),
  };
  const list = d.drawn.nodes;
  const box = h("div.beside-node", { id: `beside-node-${k}` });
  let eye: GraphEye | null = null;
  const choose = (i: number) => {
    picture.light(i, new Set());
    const n = list[i];
    const name = s.labels.get(`${n.layer}.${n.channel}.${n.index}`);
    const into = d.drawn.edges.filter((e) => e.to === i);
    const parts = [
      h("h3", {}, title(g.tokens, n)),
      name ? h("p.said", {}, name) : null,
      ...edgeList(d, into, "from", { select: choose }, k ? "from, second model" : "from"),
    ];
    box.replaceChildren(...parts.filter((x): x is HTMLElement => x instanceof HTMLElement));
  };
  const picture = draw(d, new Set(), { choose, hint: () => "", point: async () => false });
  eye = new GraphEye(picture.svg, WIDTH, picture.height, {
    seen: (e) => picture.relabel(e.zoom * SMALL),
    drag: (i, x, y) => picture.move(i, x, y),
  });
  picture.relabel(SMALL);
  const seen = eye;
  return {
    start() {
      const output = Math.max(
        0,
        list.findIndex((n) => n.kind === "logit"),
      );
      choose(output);
      // On a phone the drawing is wider than the window: its output, as in the graph's own view.
      const frame = picture.svg.parentElement as HTMLElement;
      const at = picture.nodes[output].getBoundingClientRect().left;
      frame.scrollLeft += at - frame.getBoundingClientRect().left - frame.clientWidth / 2;
    },
    element: h(
      "div.card",
      { id: `beside-${k}` },
      heading(s),
      h("div.scroll.graph-frame.beside-frame", {}, picture.svg),
      h(
        "div.map-tools",
        {},
        button("fit", () => seen.fit()),
        button("+", () => seen.zoom(1.4), { "aria-label": "zoom in" }),
        button("−", () => seen.zoom(1 / 1.4), { "aria-label": "zoom out" }),
      ),
      box,
      table(
        ["token", ">probability", "", ">logit"],
        s.read.predictions[pos].slice(0, 6).map(predicted),
        `${s.model.name}: most probable tokens`,
      ),
    ),
  };
}

/** What the numbers say, in a sentence. */
function verdict({ sides, token }: Data) {
  const [a, b] = sides;
  const [first, second] = [mean(a.read), mean(b.read)]; // null: a text of one token has no loss
  const missed = (s: Side) =>
    s.graph.features
      ? `${s.model.name}'s features leave ${percent(s.graph.error_share ?? null)} of it to errors`
      : `${s.model.name}'s neurons leave nothing`;
  const apart =
    first === null || second === null
      ? ""
      : ` The second model's loss on this text is ${signed(second - first, 3)} nats from ` +
        "the first one's: circuits are to be compared at equal loss.";
  return `Why “${tokenText(token)}”? ${missed(a)}; ${missed(b)}.${apart}`;
}

export const beside: View<Data> = {
  name: "beside",
  title: "Beside",
  needsPrompt: true,
  about: "a second model on the same prompt, its graph beside this one's, errors told",
  missing: (info) =>
    info.beside
      ? null
      : "It needs a second model. Start with --beside MODEL2, and its transcoders with " +
        "--beside-sparse TC2.",
  controls: (c) => [
    h(
      "div.row.toolbar",
      {},
      slider("keep", "share of influence kept ", { min: 0.2, max: 0.95, step: 0.05 }, c.state.keep),
      tokenBox(c, "target", "output ", "most probable of the first"),
      tokenChoices(c),
    ),
  ],
  load,
  draw(c, data) {
    const columns = data.sides.map((s, k) => column(s, k, c.pos));
    return {
      body: [
        card(h("p", { id: "beside-verdict" }, verdict(data))),
        h(
          "div.pair",
          {},
          columns.map((x) => x.element),
        ),
        card(
          facts(data),
          note(
            "Both graphs hold gates (or which features act), attention and norms, after ",
            h("span.mono", {}, tokenText(raw(c.read.tokens[c.pos]))),
            ". Diamonds are what the features of a layer miss at a position.",
          ),
        ),
      ],
      shown: () => columns.forEach((x) => x.start()),
    };
  },
};
