// view_circuit.ts: a logit, or a difference of two, as an exact sum over neurons, heads and inputs.
import { h, table } from "./dom";
import { tint } from "./activation";
import { bar, diverging, exact, max, percent, signed, token, tokenText } from "./format";
import { word } from "./glossary";
import { takeAway } from "./joint";
import { go } from "./state";
import type { Attribute, Minimal, MinimalSet, Term } from "./types";
import type { Labels } from "./labels";
import { idOf, labelsOf } from "./labels";
import {
  button,
  called,
  card,
  neuronLink,
  note,
  number,
  probability,
  toggle,
  tokenBox,
  tokenChoices,
  where,
} from "./parts";
import type { Context, View } from "./view";
import { asked, notAsked, question } from "./view";
import { nameBoxes, wordOf } from "./words";

export const fields = {
  effects: "direct", // or total
  rerun: 0, // run again without so many of the largest
  part: 0, // of a word's tokens, from 1; 0: all together
  fewest: 0, // 1: the fewest neurons that keep or lose the answer
};

const SHOWN = 12;
const RERUN = 10;

const at = (t: Term) => ({ layer: t.layer ?? 0, channel: t.channel ?? 0, index: t.index ?? 0 });

/** One neuron of a list: what it is called, its value and effect, what can be done with it. */
function row(
  c: Context,
  a: Attribute,
  t: Term,
  labels: Labels,
  most: number,
  truth: boolean,
  gates: boolean,
) {
  const { layer, channel, index } = at(t);
  const place = `${t.position} ${tokenText(a.tokens[t.position].text)}`;
  const away = { "aria-label": `steer layer ${layer} channel ${channel} neuron ${index}` };
  const onclick = () => steer(c, t);
  const said = labels.get(idOf(at(t)));
  return [
    called(neuronLink(layer, channel, index), said),
    ...(placed(c, a) ? [h("span.mono", {}, place)] : []),
    number(t.value, 3),
    number(t.effect),
    bar(t.effect ?? 0, most),
    ...(truth ? [t.true_effect === undefined ? "" : number(t.true_effect)] : []),
    ...(gates ? [t.gates_changed ?? ""] : []),
    h(
      "span.pairs",
      {},
      h("button.link", { type: "button", onclick, ...away }, "steer"),
      tint(layer, channel, index),
    ),
  ];
}

/** Neurons of more than one position are listed. */
const placed = (c: Context, a: Attribute) => c.state.effects === "total" || a.phrase !== undefined;

function neurons(
  c: Context,
  a: Attribute,
  terms: Term[],
  labels: Labels,
  title: string,
  most: number,
) {
  const truth = terms.some((t) => t.true_effect !== undefined);
  const total = placed(c, a) ? ["at"] : [];
  const gates = terms.some((t) => t.gates_changed !== undefined);
  const last = [...(truth ? [">true"] : []), ...(gates ? [">gates"] : []), ""];
  const head = ["neuron", ...total, ">value", ">effect", "", ...last];
  const rows = terms.map((t) => row(c, a, t, labels, most, truth, gates));
  return card(h("h2", {}, title), terms.length ? table(head, rows, title) : note("none"));
}

function steer(c: Context, t: Term) {
  const [layer, channel, neuron] = [Number(t.layer), Number(t.channel), Number(t.index)];
  const at = { layer, channel, neuron, pos: t.position };
  go({ view: "steer", edits: takeAway(c.state.edits, at) });
}

/** Sum of effects by layer (rows, top is last) and channel. */
function map(terms: Term[], layers: number, channels: number) {
  const sum = Array.from({ length: layers }, () => new Array<number>(channels).fill(0));
  for (const t of terms)
    if (t.kind === "neuron") sum[t.layer ?? 0][t.channel ?? 0] += t.effect ?? 0;
  const most = max(sum.flat());
  return table(
    ["", ...sum[0].map((_, k) => `>${channels > 1 ? `ch ${k}` : "neurons"}`), ">sum"],
    sum
      .map((row, l) => [
        h("span.nowrap", {}, h("span.long", {}, "layer "), l),
        ...row.map((x) =>
          h(
            "span.cell",
            { css: { background: diverging(x / most) }, title: exact(x) },
            signed(x, 2),
          ),
        ),
        h(
          "strong",
          {},
          signed(
            row.reduce((a, x) => a + x, 0),
            2,
          ),
        ),
      ])
      .reverse(),
    "sum of effects by layer and channel",
  );
}

function others(c: Context, a: Attribute) {
  const heads = a.terms.filter((t) => t.kind === "head");
  const total = c.state.effects === "total";
  const list = total ? a.heads : heads;
  const most = max(list.map((t) => t.effect ?? 0));
  const rest = a.terms.filter((t) => t.kind === "embedding" || t.kind === "bias");
  return h(
    "div.card",
    {},
    h("h2", {}, "Heads, by where they look"),
    table(
      ["head", "from", ...(total ? [] : [">attention"]), ">effect", ""],
      list.slice(0, SHOWN).map((t) => [
        h(
          "button.link",
          {
            type: "button",
            onclick: () => go({ view: "attention", layer: t.layer ?? 0, head: t.head ?? 0 }),
          },
          `${t.layer} · ${t.head}`,
        ),
        h("span.mono", {}, `${t.source} ${tokenText(a.tokens[t.source ?? 0].text)}`),
        ...(total ? [] : [t.value === undefined ? "" : (t.value ?? 0).toFixed(3)]),
        number(t.effect),
        bar(t.effect ?? 0, most),
      ]),
      "heads",
    ),
    c.state.effects === "direct"
      ? h(
          "p.note",
          {},
          "Directly from the embedding and biases: " +
            `${signed(rest.reduce((x, t) => x + (t.effect ?? 0), 0))}.`,
        )
      : null,
  );
}

function inputs(a: Attribute) {
  const list = a.total.terms;
  const most = max(list.map((t) => t.effect ?? 0));
  return h(
    "div.card",
    {},
    h("h2", {}, "Input tokens, by all ways through the network"),
    table(
      ["pos", "token", ">effect", ""],
      list
        .slice(0, SHOWN)
        .map((t) => [
          t.position,
          t.kind === "bias" ? `biases of layer ${t.layer}` : token(a.tokens[t.position]),
          number(t.effect),
          bar(t.effect ?? 0, most),
        ]),
      "total effects of input tokens",
    ),
    h(
      "p.note",
      {},
      `${list.length} terms, sum ${signed(a.total.sum, 6)}, residue ` +
        `${a.total.residue?.toExponential(1)} of ${a.total.sum_abs?.toFixed(2)} in ` +
        "absolute terms.",
    ),
  );
}

/** How far the linear numbers are from what happens. */
function truth(a: Attribute) {
  const x = a.true;
  if (!x || !x.neurons.count) return null;
  return note(
    "true: the change of the logit in a run without the neuron, for each of ",
    `${x.neurons.count} that fired. `,
    word("missed", "What linear numbers miss"),
    ` is ${percent(x.neurons.rerouting)} of the true ones, as gates, attention and norms `,
    `change; rank correlation ${x.neurons.rank?.toFixed(2)}.`,
    x.left_out ? ` ${x.left_out} of the least linear effect are left out.` : "",
    x.heads.count
      ? ` Heads, by position: ${percent(x.heads.rerouting)}, ${x.heads.rank?.toFixed(2)}.`
      : "",
  );
}

const radio = (c: Context, k: string, text: string) =>
  toggle(text, c.state.effects === k, () => go({ effects: k }));

/** A word's tokens, each with its logit and how its own sum stands; one or all can be looked at. */
function parts(c: Context, whole: Attribute) {
  if (!whole.phrase) return null;
  const list = whole.phrase.parts;
  const alone = !whole.phrase.against;
  const pick = (k: number, text: string) => toggle(text, c.state.part === k, () => go({ part: k }));
  const rows = list.map((p, i) => [
    alone ? pick(i + 1, tokenText(p.token.text)) : token(p.token),
    p.against ? "less" : "",
    p.position,
    number(p.logit),
    percent(Math.exp(p.log_probability ?? Number.NEGATIVE_INFINITY)),
    p.residue?.toExponential(1) ?? "–",
  ]);
  const { target, against } = whole.phrase;
  return h(
    "div",
    { id: "parts" },
    table(
      ["token", "", ">read at", ">logit", ">probability", ">residue"],
      rows,
      "tokens of the word",
    ),
    note(
      "The model is run along the word; each token is read where it is foretold, and all their ",
      "sums are added up. Probability of ",
      h("span.mono", {}, tokenText(target.text)),
      ": ",
      probability(target.probability),
      against
        ? [
            "; of ",
            h("span.mono", {}, tokenText(against.text)),
            ": ",
            probability(against.probability),
          ]
        : null,
      ". ",
      alone ? pick(0, "all together") : null,
    ),
  );
}

const SAID = 3;

/** The answer in a sentence: what of the text, and which neurons, raise it most. */
function answer(c: Context, a: Attribute, up: Term[], labels: Labels) {
  // The begin token is none of the text's.
  const bos = c.info.model.bos?.id;
  const own = a.total.terms.filter(
    (t) => t.kind !== "bias" && t.position <= c.pos && a.tokens[t.position].id !== bos,
  );
  const texts = own.filter((t) => (t.effect ?? 0) > 0).slice(0, SAID);
  if (!texts.length && !up.length) return null;
  const listed = <T>(all: T[], one: (t: T) => (Node | string)[]) =>
    all.flatMap((t, i) => [i ? (i < all.length - 1 ? ", " : " and ") : "", ...one(t)]);
  return h(
    "p",
    { id: "answer" },
    "Raised most by ",
    listed(texts, (t) => [token(a.tokens[t.position]), " (", number(t.effect, 2), ")"]),
    texts.length ? " of the text" : "",
    texts.length && up.length ? ", and by the neurons " : up.length ? "the neurons " : "",
    listed(up.slice(0, SAID), (t) => {
      const { layer, channel, index } = at(t);
      const label = labels.get(idOf(at(t)));
      return [
        neuronLink(layer, channel, index),
        label ? h("span.label", {}, label) : "",
        " (",
        number(t.effect, 2),
        ")",
      ];
    }),
    ".",
  );
}

/** What is asked, the logit, and how the sum stands. */
function head(c: Context, a: Attribute, whole: Attribute, said: HTMLElement | null) {
  const total = c.state.effects === "total";
  const rerun = c.state.rerun > 0;
  const why = a.against ? `Why ${asked(a)}, not ${notAsked(a)}? ` : `Why ${asked(a)}? `;
  const what = a.phrase
    ? a.against
      ? " difference of the words' logits, added up"
      : " logits of its tokens, added up"
    : a.against
      ? " difference of the logits"
      : " logit";
  return card(
    h("h2", {}, why, where(c)),
    h(
      "div",
      {},
      h(
        "span.big",
        {
          id: "target-logit",
          title: exact(a.target_logit),
          "data-exact": a.target_logit ?? "",
        },
        signed(a.target_logit, 4),
      ),
      h("span.note", {}, what),
      h("span", { id: "whole-word" }),
    ),
    said,
    parts(c, whole),
    note(
      "With ",
      word("gate", "gates"),
      `, attention and norm scales held the network is linear: ${a.terms.length} direct terms ` +
        `add up to ${signed(a.sum, 6)}; `,
      word("residue"),
      ` ${a.residue?.toExponential(1)} of ${a.sum_abs?.toFixed(2)} in absolute terms.`,
      total ? [" ", word("total effect", "Total"), ":"] : "",
      total
        ? " a total effect also goes through later layers. gates: choices of neurons that " +
            "change in a run without the neuron."
        : "",
    ),
    truth(a),
    h(
      "div.row.spaced",
      {},
      radio(c, "direct", "direct effects"),
      radio(c, "total", "total effects, all positions"),
      toggle(`run again without the ${RERUN} largest`, rerun, () =>
        go(rerun ? { rerun: 0 } : { rerun: 1, effects: "total" }),
      ),
      toggle("the fewest that keep it", c.state.fewest > 0, () =>
        go({ fewest: c.state.fewest > 0 ? 0 : 1 }),
      ),
    ),
  );
}

function set(c: Context, m: Minimal, s: MinimalSet | null, title: string, none: string) {
  if (!s) return card(h("h2", {}, title), note(none));
  const rows = s.terms.map((t) => [
    neuronLink(t.layer ?? 0, t.channel ?? 0, t.index ?? 0),
    h("span.mono", {}, `${t.position} ${tokenText(c.read.tokens[t.position].text)}`),
    number(t.true_effect),
    number(t.effect),
  ]);
  return card(
    h("h2", {}, `${title} (${s.count} of ${m.population})`),
    rows.length ? table(["neuron", "at", ">true", ">effect"], rows, title) : note("none"),
    note(`Margin ${signed(s.margin)} in the run that verifies it; as it is ${signed(m.margin)}.`),
  );
}

/** The fewest neurons with which the answer stands, and without which it falls. */
function fewest(c: Context, m: Minimal) {
  return [
    set(c, m, m.keep, "Enough to keep it, all others silent", "none"),
    set(c, m, m.lose, "Enough to lose it when silent", "The answer stands without any neuron."),
  ];
}

interface Data {
  m: Minimal | null;
  a: Attribute;
  whole: Attribute; // of the word, where a is of one of its tokens
  labels: Labels;
}

/** The neurons of the lists: direct effects at the position, or total ones. */
function listed(c: Context, a: Attribute) {
  const list = c.state.effects === "total" ? a.neurons : a.terms.filter((t) => t.kind === "neuron");
  return {
    up: list.filter((t) => (t.effect ?? 0) > 0),
    down: list.filter((t) => (t.effect ?? 0) < 0),
    most: max(list.map((t) => t.effect ?? 0)),
  };
}

/** The likeliest token may only begin a word (" m" of "macaroni"): the whole is one click away. */
async function offerWord(c: Context) {
  if (c.state.target || c.state.against || !c.info.tokenizer) return;
  const body = { ...c.prompt, position: c.pos, top: 1 };
  const a = await c.server.call("continue", body, c.signal).catch(() => ({ continuations: [] }));
  const [b] = a.continuations;
  if (c.signal.aborted || !b?.continuation_ids.length) return;
  const ask = () => go({ target: wordOf(b), part: 0 });
  const text = ["why all of “", h("span.mono", {}, tokenText(b.continuation)), "”?"];
  document.getElementById("whole-word")?.replaceChildren(" ", button(text, ask));
}

export const circuit: View<Data> = {
  name: "circuit",
  title: "Circuit",
  needsPrompt: true,
  about: "why this token, or this one and not that: an exact sum over neurons, heads and inputs",
  controls: (c) => [
    h(
      "div.row.toolbar",
      {},
      tokenBox(c, "target", "why ", "most probable"),
      tokenBox(c, "against", "and not ", "none"),
      tokenChoices(c),
    ),
  ],
  async load(c) {
    const extra = { top: 400, verify: c.state.rerun > 0 ? RERUN : 0, true: true };
    const { part } = c.state;
    const whole = await c.server.call("attribute", question(c, extra), c.signal, c.progress);
    const one = part > 0 && whole.phrase && !whole.phrase.against;
    const own = question(c, { ...extra, part });
    const a = one ? await c.server.call("attribute", own, c.signal, c.progress) : whole;
    const { up, down } = listed(c, a);
    const shown = [...up.slice(0, SHOWN), ...down.slice(0, SHOWN)];
    // A word of several tokens has no one answer that stands or falls.
    const fewest = c.state.fewest > 0 && !whole.phrase;
    const m = fewest ? await c.server.call("minimal", question(c), c.signal, c.progress) : null;
    return { a, m, whole, labels: await labelsOf(c, shown.map(at)) };
  },
  draw(c, { a, m, whole, labels }) {
    const total = c.state.effects === "total";
    const { up, down, most } = listed(c, a);
    const channels = Math.max(1, c.info.model.channels);
    const heat = h(
      "div.card.heat.by-channel",
      {},
      h("h2", {}, "Neurons by layer and ", word("channel")),
      map(a.terms, c.info.model.layers, channels),
      note(
        "Sums of the ",
        word("direct effect", "direct effects"),
        " of the neurons ",
        word("chosen"),
        " at this position. Blue is for, orange is against.",
      ),
    );
    return {
      body: [
        head(c, a, whole, answer(c, a, up, labels)),
        total ? null : heat,
        h(
          "div.grid.wide",
          {},
          m ? fewest(c, m) : null,
          neurons(c, a, up.slice(0, SHOWN), labels, `Neurons for (${up.length})`, most),
          neurons(c, a, down.slice(0, SHOWN), labels, `Neurons against (${down.length})`, most),
          others(c, a),
          inputs(a),
        ),
      ],
      async shown() {
        nameBoxes(whole);
        await offerWord(c);
      },
    };
  },
};
