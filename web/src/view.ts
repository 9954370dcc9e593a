// view.ts: what a view is: fields of the address that are its own, answers it loads, what it draws
// from them. Nothing of a view outlives its drawing: what is held lives in draw(), keys come with
// it.
import type { Server } from "./api";
import type { State } from "./state";
import type { StudyLog } from "./study_log";
import { tokenText } from "./format";
import type { Attribute, Info, Predict, Token } from "./types";

/**
 * What is known of a model; a page on a graph's file has none, and shows no view but the graph.
 */
export type Loaded = Info & { model: NonNullable<Info["model"]> };
export interface Context {
  server: Server;
  study: StudyLog;
  state: State;
  info: Loaded;
  prompt: object; // text or ids of the request
  read: Predict;
  pos: number; // 0 to the last
  signal: AbortSignal;
  /** Tells who waits; the text of a call over 200 ms. */
  progress: (part: number, what: string) => void;
}

type Part = Node | string | null | false | undefined;
export interface Drawing {
  body: Part[];
  /** Once the body stands in the page: scroll, ask for what takes longer. */
  shown?: () => void | Promise<void>;
  key?: (key: string) => boolean; // true: used
  /** A change of the address that the drawing shows by itself; false: draw anew. */
  moved?: (to: State) => boolean;
}

export interface View<D = any> {
  name: string;
  title: string;
  about: string; // one sentence for newcomers
  letter?: string; // its key; the first nine have digits
  needsPrompt: boolean;
  /** What must be open for it besides a model, as a sentence that says how; null: it is. */
  missing?: (info: Loaded) => string | null;
  /** Controls stay when the answer is an error, which then stands under them. */
  controls?: (c: Context) => Part[];
  load: (c: Context) => Promise<D>;
  /** Pure: from the answers to elements. */
  draw: (c: Context, data: D) => Drawing;
}

/** What is explained: the token, or the word of several. */
export const asked = (a: Attribute) =>
  a.phrase ? `“${tokenText(a.phrase.target.text)}”` : named(a.target);
export const notAsked = (a: Attribute) =>
  a.phrase?.against ? `“${tokenText(a.phrase.against.text)}”` : named(a.against);

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
