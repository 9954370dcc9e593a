// state.ts: the whole state of the page stands in the address, so that back, forward and links
// work.
import type { fields as circuit } from "./view_circuit";
import type { fields as beside } from "./view_beside";
import type { fields as compare } from "./view_compare";
import type { fields as corpus } from "./view_corpus";
import type { fields as directions } from "./view_directions";
import type { fields as facts } from "./view_facts";
import type { fields as feature } from "./view_feature";
import type { fields as generate } from "./generate";
import type { fields as graph } from "./view_graph";
import type { fields as attention } from "./view_attention";
import type { fields as list } from "./view_neurons";
import type { fields as map } from "./view_map";
import type { fields as recall } from "./view_recall";
import type { fields as steer } from "./view_steer";
import type { fields as study } from "./view_study";

/** What all views share; each view adds its own fields (`fields` of its file). */
const common = {
  view: "predictions",
  text: "",
  pos: -1, // -1: the last
  colour: "loss", // of the strip
  tinted: "0.0.0", // strip: the neuron that colours it, "layer.channel.index"
  quantity: "value", // strip: its value, gate or input
  target: "",
  against: "",
  layer: -1, // -1: attention the first, corpus and map the last recorded, as the commands
  channel: -1, // corpus and map; -1: all
  neuron: "", // "layer.channel.index"; empty: the strongest here
  doc: -1, // document of --data that the text is; -1: typed
  docfind: "", // documents that hold it
  static: "", // 1: without controls
};
type Common = typeof common;
type Own = typeof beside &
  typeof circuit &
  typeof compare &
  typeof corpus &
  typeof directions &
  typeof facts &
  typeof feature &
  typeof generate &
  typeof graph &
  typeof attention &
  typeof list &
  typeof map &
  typeof recall &
  typeof steer &
  typeof study;
export type State = Common & Own;

let first: State = common as State;
/** Called once, with the fields of every view. */
export function define(fields: object[]) {
  first = Object.assign({}, common, ...fields) as State;
}

export function read(): State {
  const q = new URLSearchParams(location.hash.slice(1));
  const out: Record<string, unknown> = { ...first };
  for (const [k, v] of Object.entries(first)) {
    const given = q.get(k);
    if (given === null) continue;
    out[k] = typeof v === "number" ? (Number.isFinite(Number(given)) ? Number(given) : v) : given;
  }
  return out as unknown as State;
}

export function hash(state: State): string {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(first)) {
    const now = state[k as keyof State];
    if (now !== v) q.set(k, String(now));
  }
  return `#${q}`;
}

let render: () => void = () => {};
export function onChange(f: () => void) {
  render = f;
  addEventListener("popstate", f);
}
/** Changes the state; replace: without a new entry in the history (sliders). */
export function go(change: Partial<State>, replace = false) {
  const to = hash({ ...read(), ...change });
  if (to === hash(read())) return;
  if (replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  render();
}
/** Changes the address alone: what is shown has changed already. */
export function keep(change: Partial<State>) {
  history.replaceState(null, "", hash({ ...read(), ...change }));
}
