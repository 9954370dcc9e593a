// parts.ts: the small things that views are made of.
import { h } from "./dom";
import { bar, diverging, exact, percent, signed, token, tokenText } from "./format";
import { go } from "./state";
import type { State } from "./state";
import type { Context } from "./view";
import type { Prediction } from "./types";

type Child = Parameters<typeof h>[2];

export const card = (...children: Child[]) => h("div.card", {}, ...children);
export const note = (...children: Child[]) => h("p.note", {}, ...children);

/** A number with sign, whole under the pointer and for tests. */
export function number(x: number | null | undefined, digits = 4) {
  return h("span", { title: exact(x ?? null), "data-exact": x ?? "" }, signed(x ?? null, digits));
}

/** The same of one that has no sign. */
export function plain(x: number | null, digits: number) {
  return h(
    "span",
    { title: exact(x), "data-exact": x ?? "" },
    x === null ? "–" : x.toFixed(digits),
  );
}

/** A share from 0 to 1 as a bar from the left. */
export function share(x: number) {
  const fill = { left: "0", width: `${100 * x}%`, background: "rgb(var(--pos) / .8)" };
  return h("div.bar", { "aria-hidden": "true" }, "\u00a0", h("i", { css: fill }));
}

/** A probability in words, whole under the pointer. */
export function probability(x: number | null) {
  return h("span", { title: exact(x), "data-exact": x ?? "" }, percent(x));
}

/** The four cells of a predicted token: token, probability, bar, logit. */
export function predicted(t: Prediction) {
  return [
    token(t),
    probability(t.probability),
    share(t.probability ?? 0),
    h("span", { title: exact(t.logit) }, signed(t.logit, 3)),
  ];
}

export type Option = string | number | [string | number, string | number];

/** A labelled choice of one of some values. */
export function choice(
  id: string,
  label: Child,
  options: Option[],
  now: string | number,
  set: (value: string) => void,
) {
  const rows = options.map((o): [string | number, string | number] =>
    Array.isArray(o) ? o : [o, o],
  );
  const onchange = (e: Event) => set((e.target as HTMLSelectElement).value);
  return h(
    "label",
    { for: id },
    label,
    h(
      "select",
      { id, onchange },
      rows.map(([v, text]) => h("option", { value: v, selected: v === now }, text)),
    ),
  );
}

/** A labelled slider whose value stands in the address once it is let go. */
export function slider(
  id: "keep" | "share",
  label: string,
  range: { min: number; max: number; step: number },
  now: number,
) {
  const onchange = (e: Event) =>
    go({ [id]: Number((e.target as HTMLInputElement).value) } as Partial<State>);
  return h(
    "label",
    { for: id },
    label,
    h("input", { id, type: "range", ...range, value: now, onchange }),
  );
}

/** A labelled number, brought into its range. */
export function numberBox(
  id: string,
  label: string,
  now: number,
  range: { min: number; max: number; step?: string },
  set: (x: number) => void,
) {
  const onchange = (e: Event) => {
    const given = Number((e.target as HTMLInputElement).value) || 0;
    set(Math.max(range.min, Math.min(range.max, given)));
  };
  return h(
    "label",
    { for: id },
    label,
    h("input", { id, type: "number", ...range, value: now, onchange }),
  );
}

/** A labelled tick that stands as 0 or 1 in the address. */
export function tick(
  id: "split" | "own" | "feat" | "frec" | "shuffled",
  label: string,
  now: number,
) {
  const onchange = (e: Event) =>
    go({ [id]: (e.target as HTMLInputElement).checked ? 1 : 0 } as Partial<State>);
  return h(
    "label",
    { for: id },
    h("input", { id, type: "checkbox", checked: now > 0, onchange }),
    label,
  );
}

export function button(text: Child, onclick: (e: Event) => void, props: object = {}) {
  return h("button.small", { type: "button", onclick, ...props }, text);
}

/** A button that stays pressed while what it stands for holds. */
export const toggle = (text: string, on: boolean, onclick: () => void) =>
  button(text, onclick, { "aria-pressed": String(on) });

/** Text for a screen reader behind a link that names nothing by itself. */
export const aside = (text: string) => h("span.hidden", {}, ` ${text}`);

/** A term with one sentence under it: pointing at it or its focus shows what it means. */
export function term(text: string, meaning: string) {
  return h("abbr.term", { title: meaning, tabindex: 0, "aria-label": `${text}: ${meaning}` }, text);
}

/** A sentence that most readers know already, behind an (i). */
export function more(summary: string, ...children: Child[]) {
  return h(
    "details.more",
    {},
    h("summary", { title: summary, "aria-label": summary }, "i"),
    note(...children),
  );
}

export const neuronName = (l: number, c: number, i: number) =>
  `layer ${l} channel ${c} neuron ${i}`;
export function neuronLink(l: number, c: number, i: number) {
  const onclick = () => go({ view: "neuron", neuron: `${l}.${c}.${i}` });
  const title = neuronName(l, c, i);
  return h("button.link", { type: "button", title, onclick }, `${l} · ${c} · ${i}`);
}

/** The link and, under it on one line, what the neuron is called. */
export const called = (link: HTMLElement, label: string | undefined) =>
  h("span.called", {}, link, label ? h("span.label", { title: label }, label) : null);

/** The same of a feature of the transcoders. */
export function featureLink(l: number, i: number) {
  const onclick = () => go({ view: "feature", feature: `${l}.${i}` });
  const title = `layer ${l} feature ${i}`;
  return h("button.link", { type: "button", title, onclick }, `${l} · feature ${i}`);
}

/** A box for a token or a word, given as text or id:N; empty: the default. */
export function tokenBox(
  c: Context,
  key: "target" | "against",
  label: string,
  placeholder: string,
) {
  const onchange = (e: Event) =>
    go({ [key]: (e.target as HTMLInputElement).value, part: 0 } as Partial<State>);
  const shown = /^id:(\d+)$/.exec(c.state[key]);
  const named = shown && c.read.predictions[c.pos]?.find((t) => t.id === Number(shown[1]));
  return h(
    "label",
    { for: `box-${key}` },
    label,
    h("input", {
      type: "text",
      value: named ? named.text : c.state[key],
      placeholder,
      list: "top-tokens",
      id: `box-${key}`,
      autocomplete: "off",
      onchange,
    }),
  );
}
export const tokenChoices = (c: Context) =>
  h(
    "datalist",
    { id: "top-tokens" },
    c.read.predictions[c.pos].map((t) => h("option", { value: `id:${t.id}` }, tokenText(t.text))),
  );

export const where = (c: Context) =>
  h(
    "span.soft.plain",
    {},
    `position ${c.pos}, after `,
    h("span.mono", {}, tokenText(c.read.tokens[c.pos].text)),
  );

/** Swatches of a scale between two words. */
export function legend(low: string, high: string, colour: (x: number) => string, at: number[]) {
  return h(
    "span.legend",
    {},
    low,
    at.map((x) => h("i.swatch", { css: { background: colour(x) } })),
    high,
  );
}
export { bar, diverging };
