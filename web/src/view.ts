// view.ts: what every view is given, and the controls that views share.
import { h } from "./dom";
import type { State } from "./state";
import { go } from "./state";
import { tokenText } from "./format";
import type { Info, Predict, Token } from "./types";

/** What is known of a model; a page on a graph's file has none, and shows no view but the graph. */
export type Loaded = Info & { model: NonNullable<Info["model"]> };
export interface Context {
  state: State;
  info: Loaded;
  prompt: object; // text or ids of the request
  read: Predict;
  pos: number; // 0 to the last
  signal: AbortSignal;
  panel: HTMLElement;
  /** Tells who waits; the text of a call over 200 ms. */
  progress: (part: number, what: string) => void;
}
export interface View {
  name: string;
  title: string;
  about: string; // one sentence for newcomers
  letter?: string; // its key; the first nine have digits
  needsPrompt: boolean;
  show: (c: Context) => Promise<void>;
  key?: (c: Context, key: string) => boolean; // true: used
}

export const neuronName = (l: number, c: number, i: number) =>
  `layer ${l} channel ${c} neuron ${i}`;
export function neuronLink(l: number, c: number, i: number) {
  return h(
    "button.link",
    {
      type: "button",
      title: neuronName(l, c, i),
      onclick: () => go({ view: "neuron", neuron: `${l}.${c}.${i}` }),
    },
    `${l} · ${c} · ${i}`,
  );
}

/** A box for a token, given as text or id:N; empty: the default. */
export function tokenBox(
  c: Context,
  key: "target" | "against",
  label: string,
  placeholder: string,
) {
  const input = h("input", {
    type: "text",
    value: c.state[key],
    placeholder,
    list: "top-tokens",
    id: `box-${key}`,
    onchange: (e: Event) => go({ [key]: (e.target as HTMLInputElement).value } as Partial<State>),
  });
  return h("label", { for: `box-${key}` }, label, input);
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
export const named = (t: Token | null) => (t ? `“${tokenText(t.text)}”` : "");

/** Fields of a request that name the position and the tokens. */
export function question(c: Context, extra: object = {}) {
  return {
    ...c.prompt,
    position: c.pos,
    ...(c.state.target ? { target: c.state.target } : {}),
    ...(c.state.against ? { against: c.state.against } : {}),
    ...extra,
  };
}
