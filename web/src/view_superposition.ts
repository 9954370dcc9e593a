// view_superposition.ts: whether neurons that fire together in the recorded text do what neither
// does alone.
import { h, rove, table } from "./dom";
import { count, exact, signed, token } from "./format";
import { word } from "./glossary";
import { idOf, labelsOf } from "./labels";
import type { Labels } from "./labels";
import { drawable, pairChart } from "./pair_chart";
import {
  button,
  called,
  card,
  choice,
  neuronLink,
  note,
  number,
  numberBox,
  plain,
  tick,
} from "./parts";
import { noCircuits, recordedLayer } from "./recorded";
import type { Recording } from "./recorded";
import { go, hash } from "./state";
import type { ChannelNeuron, Requests, Superposition, SuperPair } from "./types";
import type { Context, Drawing, View } from "./view";

export const fields = {
  least: 20, // positions at which a pair fires, at least
  lift: 4, // times chance, at least
  shuffled: 0, // 1: the control
  couples: 100, // pairs to test
  couple: "", // the chosen pair, "channel.neuron;channel.neuron"
  every: 0, // 1: all rows of the table
};
const ROWS = 50;
const MOST = 2000; // pairs, as the server

const idOfPair = (p: SuperPair) => p.neurons.map((n) => `${n.channel}.${n.neuron}`).join(";");

function request(c: Context): Requests["superposition"] {
  const s = c.state;
  return {
    layer: recordedLayer(c, c.info.recording as Recording),
    min_together: Math.max(1, Math.round(s.least)),
    min_lift: s.lift,
    pairs: Math.max(1, Math.min(MOST, Math.round(s.couples))),
    ...(s.shuffled ? { shuffled: true } : {}),
  };
}

function controls(c: Context) {
  const r = c.info.recording as Recording;
  const s = c.state;
  const to = (change: object) => go({ ...change, couple: "" });
  return [
    h(
      "div.row.toolbar",
      {},
      choice("super-layer", "layer ", r.layers, recordedLayer(c, r), (v) =>
        to({ layer: Number(v) }),
      ),
      numberBox("least", "together at least ", s.least, { min: 1, max: 1e9 }, (least) =>
        to({ least }),
      ),
      numberBox("lift", "lift at least ", s.lift, { min: 0.1, max: 1e9, step: "any" }, (lift) =>
        to({ lift }),
      ),
      numberBox("couples", "pairs ", s.couples, { min: 1, max: MOST }, (couples) =>
        to({ couples }),
      ),
      tick("shuffled", "shuffled control", s.shuffled),
    ),
  ];
}

/** What the layer's mean says, in words. */
function meaning(a: Superposition) {
  const [low, high] = a.interval;
  if (low === null || high === null) return "";
  if (low > 0)
    return "The interval lies above 0: neurons that fire together interact more than matched ones.";
  if (high < 0)
    return "The interval lies below 0: neurons that fire together interact less than matched ones.";
  return (
    "The interval holds 0: neurons that fire together are not seen to interact more or less than " +
    "matched ones."
  );
}

function summary(a: Superposition) {
  const tested = a.pairs.length;
  if (!a.scored_pairs)
    return [
      h(
        "p",
        { id: "super-said" },
        `No pair could be compared: ${count(tested)} fire together at least ` +
          `${count(a.settings.min_together)} times with a lift of at least ` +
          `${exact(a.settings.min_lift)}` +
          (tested ? ", and none has a matched neuron. " : ". ") +
          "Lower these two, or record more text.",
      ),
    ];
  const ratio = Math.exp(a.mean_excess ?? 0);
  return [
    h(
      "p",
      { id: "super-said" },
      "Mean ",
      word("excess"),
      " ",
      number(a.mean_excess),
      ` over ${count(a.scored_pairs)} of ${count(tested)} pairs: they interact `,
      h("strong", {}, `${ratio.toPrecision(3)} times`),
      " as much as matched ones (95% interval ",
      number(a.interval[0]),
      " to ",
      number(a.interval[1]),
      ", p ",
      plain(a.p, 4),
      "). ",
      h("strong", {}, meaning(a)),
    ),
    h(
      "p",
      {},
      "Mean ",
      word("signed interaction"),
      " ",
      number(a.mean_signed, 6),
      " nats: ",
      (a.mean_signed ?? 0) < 0
        ? "below 0, so on the whole both neurons are needed (above 0: either would suffice)."
        : "above 0, so on the whole either neuron suffices (below 0: both would be needed).",
    ),
  ];
}

/** A neuron's link with what it is called. */
const linked = (layer: number, n: ChannelNeuron, labels: Labels) =>
  called(
    neuronLink(layer, n.channel, n.neuron),
    labels.get(idOf({ layer, channel: n.channel, index: n.neuron })),
  );

/** The pair that is chosen, in a line; beside it where both fire. */
function chosen(a: Superposition, labels: Labels, p: SuperPair | undefined) {
  if (!p)
    return [
      note("Choose a dot, a row, or with , and . the pair before and after: it is told here."),
    ];
  const layer = a.layer;
  const places = { view: "corpus", layer, units: idOfPair(p), place: -1, find: "" };
  const [i, j] = p.alone;
  return [
    h("div.row", {}, linked(layer, p.neurons[0], labels), linked(layer, p.neurons[1], labels)),
    note(
      `Together at ${count(p.together)} positions (the first fires at ${count(i)}, the second at ` +
        `${count(j)}); compared at ${count(p.places)}. Signed interaction `,
      number(p.signed, 5),
      ", of the matched pair ",
      number(p.signed_null, 5),
      " nats.",
    ),
    h(
      "div.row",
      {},
      button("where they fire together", () => go(places)),
    ),
  ];
}

function tokens(a: Superposition, p: SuperPair) {
  const texts = new Map(a.tokens.map((t) => [t.id, t]));
  const chip = (id: number) => h("span.chip", {}, token(texts.get(id) ?? null));
  return p.joint_only.length ? h("div.chips", {}, p.joint_only.map(chip)) : "–";
}

const heads = [
  "",
  "neuron",
  "and",
  ">together",
  ">lift",
  ">score",
  ">null",
  ">excess",
  ">signed",
  "only together",
];

function rows(a: Superposition, labels: Labels, list: SuperPair[], choose: (id: string) => void) {
  const pressed = (p: SuperPair, k: number) => {
    const id = idOfPair(p);
    const props = {
      "data-pair": id,
      "aria-pressed": "false",
      "aria-label": `choose pair ${k + 1}`,
    };
    return button(String(k + 1), () => choose(id), props);
  };
  return list.map((p, k) => [
    pressed(p, k),
    linked(a.layer, p.neurons[0], labels),
    linked(a.layer, p.neurons[1], labels),
    count(p.together),
    plain(p.lift, 1),
    plain(p.score, 4),
    plain(p.null, 4),
    number(p.excess, 3),
    number(p.signed, 5),
    tokens(a, p),
  ]);
}

function sets(a: Superposition, labels: Labels) {
  if (!a.sets.length) return null;
  const list = a.sets.map((s) => [
    h(
      "div.row",
      {},
      s.neurons.map((n) => linked(a.layer, n, labels)),
    ),
    count(s.together),
    number(s.effect, 5),
    number(s.sum_of_effects, 5),
  ]);
  return card(
    h("h2", {}, "Sets"),
    note(
      "Pairs grown by the neuron of largest lift to all of them. How the loss changes without " +
        "all at once, and as a sum of what each does alone, in nats.",
    ),
    h("div.fold", {}, table(["neurons", ">together", ">without all", ">sum"], list, "sets")),
  );
}

interface Data {
  a: Superposition;
  list: SuperPair[]; // by falling excess, those without one last
  labels: Labels;
}

async function load(c: Context): Promise<Data> {
  const a = await c.server.call("superposition", request(c), c.signal, c.progress);
  const neurons = [...a.pairs, ...a.sets].flatMap((x) =>
    x.neurons.map((n) => ({ layer: a.layer, channel: n.channel, index: n.neuron })),
  );
  const list = [...a.pairs].sort((x, y) => (y.excess ?? -Infinity) - (x.excess ?? -Infinity));
  return { a, list, labels: await labelsOf(c, neurons) };
}

function figure(a: Superposition, list: SuperPair[], choose: (id: string) => void) {
  const drawn = list.filter(drawable);
  if (!drawn.length) return null;
  const dots = drawn.map((p) => ({
    id: idOfPair(p),
    x: p.null as number,
    y: p.score as number,
    signed: p.signed,
    told:
      `${p.neurons.map((n) => `${a.layer} · ${n.channel} · ${n.neuron}`).join(" and ")}: ` +
      `score ${exact(p.score)}, matched ${exact(p.null)}, excess ${signed(p.excess, 3)}`,
  }));
  const left = list.length - drawn.length;
  return [
    pairChart("score of each pair over its matched null", dots, choose),
    h(
      "div.row",
      {},
      h("span.legend", {}, h("i.key.dot.pos"), "either suffices"),
      h("span.legend", {}, h("i.key.dot.neg"), "both are needed"),
    ),
    note(
      "Above the diagonal: more interaction than the ",
      word("matched null"),
      ".",
      left ? ` ${count(left)} without a score or a null above 0 have no place here.` : null,
    ),
  ];
}

function settings(a: Superposition) {
  const s = a.settings;
  const line =
    `sgatlin superposition MODEL --recording REC --layer ${a.layer} --min-together ` +
    `${s.min_together} --min-lift ${s.min_lift} --pairs ${s.max_pairs} --places ${s.max_places}` +
    (s.shuffled ? " --shuffled" : "");
  return note(
    s.shuffled
      ? "The control: each neuron's values stand at other places of the same token, so what is " +
          "found here is chance. "
      : null,
    `At most ${count(s.max_pairs)} pairs, each at ` +
      (s.max_places ? `up to ${count(s.max_places)}` : "all its") +
      ` places of ${count(a.positions)} recorded positions. The same numbers by `,
    h("span.mono", {}, line),
  );
}

/** Dots and rows of one pair stand out together. */
function lighter(root: HTMLElement) {
  return (id: string) => {
    for (const e of root.querySelectorAll("[data-pair]")) {
      const on = id !== "" && e.getAttribute("data-pair") === id;
      e.classList.toggle("lit", on);
      if (e instanceof HTMLButtonElement) e.setAttribute("aria-pressed", String(on));
      e.closest("tr")?.classList.toggle("lit", on);
    }
    const dot = root.querySelector("circle.lit");
    dot?.parentElement?.append(dot); // over the others
  };
}

function draw(c: Context, { a, list, labels }: Data): Drawing {
  const told = h("div", { id: "chosen-pair", role: "status" });
  const choose = (id: string) => go({ couple: id });
  const shown = c.state.every ? list : list.slice(0, ROWS);
  const root = h(
    "div.superposition",
    {},
    card(h("h2", {}, `Neurons of layer ${a.layer} that fire together`), summary(a), settings(a)),
    list.length
      ? [
          h(
            "div.grid.wide.pair-cards",
            {},
            card(h("h2", {}, "Pairs against matched pairs"), figure(a, list, choose)),
            card(h("h2", {}, "The chosen pair"), told),
          ),
          card(
            h("h2", {}, "Pairs, the largest excess first"),
            rove(table(heads, rows(a, labels, shown, choose), "pairs"), "td:first-child button"),
            shown.length < list.length
              ? button(`all ${count(list.length)}`, () => go({ every: 1 }))
              : null,
          ),
        ]
      : null,
    sets(a, labels),
  );
  const light = lighter(root);
  const now = { couple: "" };
  const show = (id: string) => {
    now.couple = id;
    told.replaceChildren(
      ...chosen(
        a,
        labels,
        list.find((p) => idOfPair(p) === id),
      ),
    );
    light(id);
  };
  show(c.state.couple);
  const step = (by: number) => {
    const at = list.findIndex((p) => idOfPair(p) === now.couple);
    const to = at < 0 ? 0 : Math.max(0, Math.min(list.length - 1, at + by));
    choose(idOfPair(list[to]));
  };
  const others = (s: Context["state"]) => hash({ ...s, couple: "" });
  return {
    body: [root],
    moved(to) {
      if (others(to) !== others(c.state)) return false;
      show(to.couple);
      return true;
    },
    key(k) {
      if ((k !== "," && k !== ".") || !list.length) return false;
      step(k === "." ? 1 : -1);
      return true;
    },
  };
}

export const superposition: View<Data> = {
  name: "superposition",
  title: "Pairs",
  needsPrompt: false,
  about: "superposition: whether neurons that fire together do what neither does alone",
  missing: (info) =>
    noCircuits(info, "it shows whether neurons that fire together do what neither does alone"),
  controls,
  load,
  draw,
};
