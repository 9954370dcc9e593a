// view_circuit.ts: a logit, or a difference of two, as an exact sum over neurons, heads and inputs.
import { h, table } from "./dom";
import { call } from "./api";
import { tint } from "./activation";
import { bar, diverging, exact, max, signed, token, tokenText } from "./format";
import { go } from "./state";
import type { Attribute, Term } from "./types";
import type { Context, View } from "./view";
import { named, neuronLink, question, tokenBox, tokenChoices, where } from "./view";

const SHOWN = 12;
const RERUN = 10;

function value(x: number | null, digits = 4) {
  return h("span", { title: exact(x), "data-exact": x ?? "" }, signed(x, digits));
}

function neurons(c: Context, terms: Term[], title: string, most: number) {
  const truth = terms.some((t) => t.true_effect !== undefined);
  const at = (t: Term) =>
    h("span.mono", {}, `${t.position} ${tokenText(c.read.tokens[t.position].text)}`);
  const total = c.state.effects === "total";
  const head = [
    "neuron",
    ...(total ? ["at"] : []),
    ">value",
    ">effect",
    "",
    ...(truth ? [">true", ">gates"] : []),
    "",
  ];
  return h(
    "div.card",
    {},
    h("h2", {}, title),
    terms.length
      ? table(
          head,
          terms.map((t) => [
            neuronLink(t.layer ?? 0, t.channel ?? 0, t.index ?? 0),
            ...(total ? [at(t)] : []),
            value(t.value ?? null, 3),
            value(t.effect),
            bar(t.effect ?? 0, most),
            ...(truth
              ? [t.true_effect === undefined ? "" : value(t.true_effect), t.gates_changed ?? ""]
              : []),
            h(
              "span.pairs",
              {},
              h(
                "button.link",
                {
                  type: "button",
                  "aria-label": `steer layer ${t.layer} channel ${t.channel} neuron ${t.index}`,
                  onclick: () => steer(c, t),
                },
                "steer",
              ),
              tint(t.layer ?? 0, t.channel ?? 0, t.index ?? 0),
            ),
          ]),
          title,
        )
      : h("p.note", {}, "none"),
  );
}

function steer(c: Context, t: Term) {
  const key = `${t.layer}.${t.channel}.${t.index}.${t.position}`;
  const edits = c.state.edits.split(";").filter((e) => e && !e.startsWith(`${key}*`));
  go({ view: "steer", edits: [...edits, `${key}*0`].join(";") });
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
        h("span.nowrap", {}, `layer ${l}`),
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
        h("span.mono", {}, `${t.source} ${tokenText(c.read.tokens[t.source ?? 0].text)}`),
        ...(total ? [] : [t.value === undefined ? "" : (t.value ?? 0).toFixed(3)]),
        value(t.effect),
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

function inputs(c: Context, a: Attribute) {
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
          t.kind === "bias" ? `biases of layer ${t.layer}` : token(c.read.tokens[t.position]),
          value(t.effect),
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

export const circuit: View = {
  name: "circuit",
  title: "Circuit",
  needsPrompt: true,
  about: "why this token, or this one and not that: an exact sum over neurons, heads and inputs",
  async show(c) {
    const a = await call(
      "attribute",
      question(c, { top: 400, verify: c.state.rerun > 0 ? RERUN : 0 }),
      c.signal,
      c.progress,
    );
    if (c.signal.aborted) return;
    const total = c.state.effects === "total";
    const list = total ? a.neurons : a.terms.filter((t) => t.kind === "neuron");
    const up = list.filter((t) => (t.effect ?? 0) > 0);
    const down = list.filter((t) => (t.effect ?? 0) < 0);
    const most = max(list.map((t) => t.effect ?? 0));
    const radio = (k: string, text: string) =>
      h(
        "button.small",
        {
          type: "button",
          "aria-pressed": String(c.state.effects === k),
          onclick: () => go({ effects: k }),
        },
        text,
      );
    c.panel.replaceChildren(
      h(
        "div.card",
        {},
        h(
          "div.row.spread",
          {},
          h(
            "div",
            {},
            h(
              "h2",
              {},
              a.against
                ? `Why ${named(a.target)}, not ${named(a.against)}? `
                : `Why ${named(a.target)}? `,
              where(c),
            ),
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
              h("span.note", {}, a.against ? " difference of the logits" : " logit"),
            ),
          ),
          h(
            "div.row",
            {},
            tokenBox(c, "target", "A ", "most probable"),
            tokenBox(c, "against", "against B ", "none"),
            tokenChoices(c),
          ),
        ),
        h(
          "p.note",
          {},
          "With gates, attention and norm scales held the network is linear: " +
            `${a.terms.length} direct terms add up to ${signed(a.sum, 6)}; residue ` +
            `${a.residue?.toExponential(1)} of ${a.sum_abs?.toFixed(2)} in absolute ` +
            "terms.",
          total
            ? " A total effect also goes through later layers. true: the change in a " +
                "run without the neuron; gates: choices of neurons that change in that " +
                "run."
            : "",
        ),
        h(
          "div.row",
          { css: { marginTop: "10px" } },
          radio("direct", "direct effects"),
          radio("total", "total effects, all positions"),
          h(
            "button.small",
            {
              type: "button",
              "aria-pressed": String(c.state.rerun > 0),
              onclick: () => go(c.state.rerun > 0 ? { rerun: 0 } : { rerun: 1, effects: "total" }),
            },
            `run again without the ${RERUN} largest`,
          ),
        ),
      ),
      total
        ? ""
        : h(
            "div.card.heat",
            {},
            h("h2", {}, "Neurons by layer and channel"),
            map(a.terms, c.info.model.layers, Math.max(1, c.info.model.channels)),
            h(
              "p.note",
              {},
              "Sums of the direct effects of the neurons chosen at this position. " +
                "Blue is for, orange is against.",
            ),
          ),
      h(
        "div.grid.wide",
        {},
        neurons(c, up.slice(0, SHOWN), `Neurons for (${up.length})`, most),
        neurons(c, down.slice(0, SHOWN), `Neurons against (${down.length})`, most),
        others(c, a),
        inputs(c, a),
      ),
    );
  },
};
