// view_feature.ts: one feature of the transcoders: what it reads and writes, its neighbours, where
// it acts; features scaled by sliders: the answer with everything held, the true run, the
// difference.
import { h, table } from "./dom";
import { bar, exact, max, percent, signed, token, tokenText } from "./format";
import { edits, key, parse, takeAway, write } from "./factors";
import type { Factor } from "./factors";
import { go } from "./state";
import type { Feature, Scale } from "./types";
import {
  button,
  card,
  featureLink,
  neuronLink,
  note,
  number,
  numberBox,
  tick,
  tokenBox,
  tokenChoices,
  where,
} from "./parts";
import type { Context, View } from "./view";
import { question } from "./view";

export const fields = {
  feature: "", // "layer.feature"; empty: the strongest here
  factors: "", // factors.ts
  frec: 0, // 1: with the recording
};

/** The feature of the address; where none is named, the prompt's strongest, else the first. */
async function chosen(c: Context): Promise<[number, number]> {
  const [layer, index] = c.state.feature.split(".").map(Number);
  if (c.state.feature && Number.isInteger(layer) && Number.isInteger(index)) return [layer, index];
  if (c.pos < 0) return [c.info.sparse?.layers[0] ?? 0, 0];
  const g = await c.server.call(
    "graph",
    { ...c.prompt, position: c.pos, node_threshold: 0.8, features: true },
    c.signal,
    c.progress,
  );
  const by = g.nodes.filter((n) => n.kind === "feature");
  by.sort((a, b) => (b.influence ?? 0) - (a.influence ?? 0));
  return by.length ? [by[0].layer, by[0].index ?? 0] : [0, 0];
}

/** Two numbers that name a feature; a change goes there. */
function place(c: Context, f: Feature) {
  const layers = c.info.model.layers;
  const to = (layer: number, index: number) => go({ feature: `${layer}.${index}` });
  const last = f.features - 1;
  return [
    numberBox("f-layer", "layer ", f.layer, { min: 0, max: layers - 1 }, (l) => to(l, 0)),
    numberBox("f-index", "feature ", f.feature, { min: 0, max: last }, (i) => to(f.layer, i)),
    button("previous", () => to(f.layer, f.feature ? f.feature - 1 : last)),
    button("next", () => to(f.layer, f.feature < last ? f.feature + 1 : 0)),
    button("any", () => to(f.layer, Math.floor(Math.random() * f.features))),
  ];
}

function words(list: Feature["reads"], title: string, said: string) {
  const most = max(list.map((x) => x.value ?? 0));
  const rows = list.map((x) => [token(x.token), number(x.value, 3), bar(x.value ?? 0, most)]);
  return card(h("h2", {}, title), table(["token", ">value", ""], rows, title), note(said));
}

function links(list: Feature["upstream"], title: string) {
  if (!list) return null;
  const most = max(list.map((x) => x.weight ?? 0));
  const rows = list.map((x) => [
    featureLink(x.layer, x.feature),
    number(x.weight),
    bar(x.weight ?? 0, most),
  ]);
  return card(
    h("h2", {}, title),
    list.length
      ? table(["feature", ">weight", ""], rows, title)
      : note("none: this is the first or last layer"),
  );
}

function neighbours(f: Feature) {
  const rows = f.alike.map((x) => [
    featureLink(f.layer, x.feature),
    number(x.encoder, 3),
    number(x.decoder, 3),
  ]);
  const n = f.nearest;
  return card(
    h("h2", {}, "Like it"),
    table(["feature", ">reads", ">writes"], rows, "features like it"),
    n
      ? note(
          "cosines of what they read and write. The layer's own neuron nearest to it: ",
          neuronLink(f.layer, n.channel, n.neuron),
          ` (${signed(n.encoder, 3)}, ${signed(n.decoder, 3)}).`,
        )
      : note("cosines of what they read and write"),
  );
}

function recorded(c: Context, f: Feature) {
  const r = f.recorded;
  if (!c.info.recording) return null;
  if (!r)
    return card(
      h("h2", {}, "Where it acts"),
      note("Its whole text is run for this: tick “where it acts” above."),
    );
  const rows = r.top.map((x) => [
    number(x.value, 3),
    h("span.mono", {}, tokenText(x.excerpt ?? "")),
  ]);
  return card(
    h("h2", {}, "Where it acts"),
    note(`${percent(r.density)} of ${r.positions} recorded positions, ${r.mean?.toFixed(3)} there`),
    table([">value", "excerpt"], rows, "where it acts most"),
  );
}

/* ---- scaling --------------------------------------------------------------------------------- */

function figure(title: string, id: string, x: number | null, said: string) {
  return h(
    "div.figure",
    {},
    h("h3", {}, title),
    h("span.big", { id, title: exact(x), "data-exact": x ?? "" }, signed(x)),
    h("p.note", {}, said),
  );
}

function answer(r: Scale) {
  const rerouting =
    r.logit_change === null || r.linear_change === null ? null : r.logit_change - r.linear_change;
  const rows = r.before.map((b, i) => {
    const a = r.after[i];
    return [token(b), percent(b.probability), a ? token(a) : "", percent(a?.probability ?? null)];
  });
  return card(
    h("h2", {}, "Change of the logit of ", h("span.mono", {}, tokenText(r.target?.text ?? ""))),
    h(
      "div.figures",
      {},
      figure(
        "Everything held",
        "f-linear",
        r.linear_change,
        "which features act, attention and norms as the prompt made them",
      ),
      figure(
        "True run",
        "f-true",
        r.logit_change,
        "the model run again, the features' writes scaled; what they miss stays. Probability " +
          `${percent(r.probability_before)} to ${percent(r.probability_after)}`,
      ),
      figure(
        "Difference",
        "f-rerouting",
        rerouting,
        "other features act, other attention, other norms, and what the transcoders miss reacts",
      ),
    ),
    table(
      ["before", ">probability", "after", ">probability"],
      rows,
      "predictions before and after",
    ),
  );
}

function slider(c: Context, list: Factor[], i: number, update: () => void) {
  const e = list[i];
  const out = h("output", {}, `× ${e.scale}`);
  const at =
    e.pos === null ? "everywhere" : `at ${e.pos} ${tokenText(c.read.tokens[e.pos]?.text ?? "")}`;
  const set = (ev: Event) => {
    e.scale = Number((ev.target as HTMLInputElement).value);
    out.textContent = `× ${e.scale}`;
  };
  return h(
    "div.slider",
    {},
    h("label", { for: `f${i}` }, featureLink(e.layer, e.feature), h("span", {}, ` ${at}`)),
    h("input", {
      id: `f${i}`,
      type: "range",
      min: -2,
      max: 4,
      step: 0.1,
      value: e.scale,
      "aria-label": `factor of ${key(e)}, ${at}`,
      oninput: set,
      onchange: (ev: Event) => {
        set(ev);
        update();
      },
    }),
    out,
    button("×", () => go({ factors: write(list.filter((_, k) => k !== i)) }), {
      "aria-label": `take ${key(e)} off the list`,
    }),
  );
}

function scaling(c: Context, f: Feature, list: Factor[]) {
  const here = { layer: f.layer, feature: f.feature };
  const away = (pos: number | null) => go({ factors: takeAway(write(list), { ...here, pos }) });
  const update = () => go({ factors: write(list) }, true);
  return card(
    h("h2", {}, "Scale features ", where(c)),
    list.map((_, i) => slider(c, list, i, update)),
    h(
      "div.row.spaced",
      {},
      button("take this one away here", () => away(c.pos)),
      button("take it away everywhere", () => away(null)),
      list.length ? button("clear", () => go({ factors: "" })) : null,
    ),
    note("× 0 takes a feature's write away, × 1 leaves it, × 2 doubles it."),
  );
}

interface Data {
  f: Feature;
  list: Factor[];
  r: Scale | null;
}

export const feature: View<Data> = {
  name: "feature",
  title: "Feature",
  needsPrompt: false,
  about: "one feature of the transcoders: what it reads and writes, its neighbours, scaling it",
  missing: (info) =>
    info.sparse
      ? null
      : "It needs transcoders of the model. sgatlin sparse train makes them; start with " +
        "--sparse TC.",
  controls: (c) => [
    h(
      "div.row.toolbar",
      {},
      c.pos >= 0 ? [tokenBox(c, "target", "watch ", "most probable"), tokenChoices(c)] : null,
      c.info.recording ? tick("frec", "where it acts", c.state.frec) : null,
    ),
  ],
  async load(c) {
    const [layer, index] = await chosen(c);
    const more = c.state.frec && c.info.recording ? { recorded: true } : {};
    const f = await c.server.call(
      "feature",
      { layer, index, top: 8, ...more },
      c.signal,
      c.progress,
    );
    const list = parse(c.state.factors).filter((e) => e.pos === null || e.pos <= c.pos);
    const { against: _, ...q } = question(c) as Record<string, unknown>;
    const r =
      list.length && c.pos >= 0
        ? await c.server.call("scale", { ...q, edits: edits(list), top: 8 }, c.signal, c.progress)
        : null;
    return { f, list, r };
  },
  draw(c, { f, list, r }) {
    return {
      body: [
        h("div.row.toolbar", {}, place(c, f)),
        card(
          h("h2", {}, `Layer ${f.layer}, feature ${f.feature}`),
          note(
            `${c.info.sparse?.name}, ${c.info.sparse?.activation}: one of ${f.features} features ` +
              `that stand for this layer. Bias ${signed(f.bias)}` +
              (f.threshold === undefined ? "." : `, threshold ${signed(f.threshold)}.`),
          ),
        ),
        c.pos >= 0 ? scaling(c, f, list) : null,
        r ? answer(r) : null,
        recorded(c, f),
        h(
          "div.grid",
          {},
          words(f.reads, "Reads", "Each token's embedding on what the feature reads."),
          words(f.writes, "Writes", "Logits it raises, up to the final norm's scale."),
          neighbours(f),
          links(f.upstream, "Fed by"),
          links(f.downstream, "Feeds"),
        ),
      ],
    };
  },
};
