// view_compare.ts: two prompts side by side: what each expects, and which neurons make the
// difference.
import { h, table } from "./dom";
import { bar, exact, max, raw, sequential, signed, tokenParts, tokenText } from "./format";
import { word } from "./glossary";
import { go } from "./state";
import type { Attribute, Predict } from "./types";
import type { Continue } from "./types";
import { idOf, labelsOf } from "./labels";
import type { Labels } from "./labels";
import { called, card, neuronLink, number, predicted, tokenBox, tokenChoices } from "./parts";
import type { Context, View } from "./view";
import { asked } from "./view";
import { candidate } from "./words";

export const fields = {
  other: "", // the second prompt
  opos: -1, // its position; -1: the last
};

const SHOWN = 20;
const CANDIDATES = 8;

/** A prompt's tokens, coloured by loss; a click chooses its position. */
function strip(p: Predict, pos: number, choose: (i: number) => void, label: string) {
  return h(
    "div.tokens",
    { role: "group", "aria-label": label },
    p.tokens.map((t, i) =>
      h(
        "button.tok",
        {
          type: "button",
          "aria-pressed": String(i === pos),
          tabindex: i === pos ? 0 : -1,
          "aria-label": `${label}, position ${i}: ${tokenText(raw(t))}`,
          title: p.losses[i] === null ? undefined : `loss ${p.losses[i]?.toFixed(3)}`,
          onclick: () => choose(i),
          css: p.losses[i] === null ? {} : { background: sequential((p.losses[i] ?? 0) / 8) },
        },
        tokenParts(raw(t)),
      ),
    ),
  );
}

function column(
  title: string,
  id: string,
  p: Predict,
  pos: number,
  choose: (i: number) => void,
  a: Attribute,
  behind: Continue["continuations"],
) {
  const rows = p.predictions[pos].slice(0, CANDIDATES).map((t, i) => {
    const [, ...rest] = predicted(t);
    return [candidate(t, behind[i]?.id === t.id ? behind[i] : undefined), ...rest];
  });
  return h(
    "div.card",
    { id },
    h(
      "h2",
      {},
      title,
      " ",
      h(
        "span.soft",
        {},
        `position ${pos}, after `,
        h("span.mono", {}, tokenText(raw(p.tokens[pos]))),
      ),
    ),
    strip(p, pos, choose, title),
    table(["token", ">probability", "", ">logit"], rows, `${title}: most probable tokens`),
    h(
      "p.note",
      {},
      "Logit of ",
      asked(a),
      " ",
      h(
        "span.logit",
        { title: exact(a.target_logit), "data-exact": a.target_logit ?? "" },
        signed(a.target_logit),
      ),
    ),
  );
}

interface Both {
  layer: number;
  channel: number;
  index: number;
  a: number | null;
  b: number | null;
  d: number;
}
/**
 * Direct effects of the neurons of either position; a neuron that was not chosen there adds
 * nothing.
 */
export function differences(a: Attribute, b: Attribute): Both[] {
  const all = new Map<string, Both>();
  for (const [x, which] of [
    [a, "a"],
    [b, "b"],
  ] as const)
    for (const t of x.terms) {
      if (t.kind !== "neuron") continue;
      const key = `${t.layer}.${t.channel}.${t.index}`;
      const row = all.get(key) ?? {
        layer: t.layer ?? 0,
        channel: t.channel ?? 0,
        index: t.index ?? 0,
        a: null,
        b: null,
        d: 0,
      };
      // A word is read at several positions: what the neuron does at all of them.
      row[which] = (row[which] ?? 0) + (t.effect ?? 0);
      row.d = (row.b ?? 0) - (row.a ?? 0);
      all.set(key, row);
    }
  return [...all.values()].sort((x, y) => Math.abs(y.d) - Math.abs(x.d));
}

function neurons(a: Attribute, b: Attribute, labels: Labels) {
  const list = differences(a, b);
  const most = max(list.map((x) => x.d));
  const shared = list.filter((x) => x.a !== null && x.b !== null).length;
  const effect = (x: number | null) => (x === null ? h("span.soft", {}, "not chosen") : number(x));
  return h(
    "div.card.labels",
    {},
    h("h2", {}, "Neurons that make the difference for ", asked(a)),
    table(
      ["neuron", ">first", ">second", ">difference", ""],
      list
        .slice(0, SHOWN)
        .map((x) => [
          called(neuronLink(x.layer, x.channel, x.index), labels.get(idOf(x))),
          effect(x.a),
          effect(x.b),
          number(x.d),
          bar(x.d, most),
        ]),
      "neurons of both positions",
    ),
    h(
      "p.note",
      {},
      word("direct effect", "Direct effects"),
      ` on the logit, second less first; ${shared} of ${list.length} ` + "neurons are ",
      word("chosen"),
      " at both positions. All neurons together: ",
      number(list.reduce((s, x) => s + x.d, 0)),
      "; the logits differ by ",
      number((b.target_logit ?? 0) - (a.target_logit ?? 0)),
      ".",
    ),
  );
}

interface Data {
  p: Predict;
  pos: number;
  a: Attribute;
  b: Attribute;
  labels: Labels;
  behind: Continue["continuations"][]; // of the candidates of both
}

/** A twin to begin with: the prompt with one of its words exchanged, where the model knows one. */
function twins(c: Context): string[] {
  const own = c.info.examples?.flatMap((e) => (e.twin && e.text === c.state.text ? [e.twin] : []));
  const list = own?.length ? own : (c.info.examples ?? []).map((e) => e.text);
  return list.filter((t) => t !== c.state.text);
}
/** The second prompt: the address's, else the first twin, so that the view does not open empty. */
const second = (c: Context) => c.state.other || (twins(c)[0] ?? "");

function suggestions(c: Context) {
  return h(
    "div.row",
    {},
    twins(c)
      .slice(0, 3)
      .map((t) => h("button", { type: "button", onclick: () => go({ other: t, opos: -1 }) }, t)),
  );
}

export const compare: View<Data | null> = {
  name: "compare",
  title: "Compare",
  needsPrompt: true,
  about: "two prompts side by side, and the neurons that make the difference",
  letter: "c",
  controls(c) {
    const onsubmit = (e: Event) => {
      e.preventDefault();
      go({ other: (document.getElementById("other") as HTMLInputElement).value, opos: -1 });
    };
    const input = h("input", {
      id: "other",
      type: "text",
      value: second(c),
      autocomplete: "off",
      placeholder: "another text, such as the same with one word changed",
    });
    return [
      h(
        "form.row.toolbar",
        { onsubmit },
        h("label.grow", { for: "other" }, "second prompt ", input),
        h("button.small", { type: "submit" }, "Compare"),
        tokenBox(c, "target", "logit of ", "most probable"),
        tokenChoices(c),
      ),
    ];
  },
  async load(c) {
    const s = c.state;
    const text = second(c);
    if (!text) return null;
    const ids = () =>
      text
        .split(/[\s,]+/)
        .filter(Boolean)
        .map(Number);
    const other = c.info.tokenizer ? { text } : { ids: ids() };
    const p = await c.server.call("predict", { ...other, top: 10 }, c.signal, c.progress);
    const pos = s.opos >= 0 && s.opos < p.tokens.length ? s.opos : p.tokens.length - 1;
    const target = s.target || `id:${c.read.predictions[c.pos][0].id}`;
    const of = (prompt: object, position: number) =>
      c.server.call("attribute", { ...prompt, position, target, top: 20000 }, c.signal, c.progress);
    const [a, b] = [await of(c.prompt, c.pos), await of(other, pos)];
    const labels = await labelsOf(c, differences(a, b).slice(0, SHOWN));
    const on = async (prompt: object, position: number) =>
      (await c.server.call("continue", { ...prompt, position, top: CANDIDATES }, c.signal))
        .continuations;
    const behind = c.info.tokenizer ? [await on(c.prompt, c.pos), await on(other, pos)] : [[], []];
    return { p, pos, a, b, labels, behind };
  },
  draw(c, data) {
    const key = (k: string) => {
      if (k === "o") document.getElementById("other")?.focus();
      const step = k === "," ? -1 : k === "." ? 1 : 0;
      const to = data ? data.pos + step : -1;
      if (step && data && to >= 0 && to < data.p.tokens.length) go({ opos: to });
      return step !== 0 || k === "o";
    };
    if (!data)
      return {
        key,
        body: [
          card(
            h("h2", {}, "Two prompts side by side"),
            h("p", {}, "A twin shows most: the same text with one word exchanged. For example"),
            suggestions(c),
          ),
        ],
      };
    const { p, pos, a, b, labels, behind } = data;
    const first = column("First", "first", c.read, c.pos, (i) => go({ pos: i }), a, behind[0]);
    const twin = column("Second", "second", p, pos, (i) => go({ opos: i }), b, behind[1]);
    return { key, body: [h("div.pair", {}, first, twin), neurons(a, b, labels)] };
  },
};
