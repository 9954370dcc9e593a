// state.ts: the whole state of the page stands in the address, so that back, forward and links
// work. Each view owns its fields and this file gathers them; views import this file in turn, so
// nothing here is asked of them before all files are read.
import { fields as circuit } from "./view_circuit";
import { fields as beside } from "./view_beside";
import { fields as compare } from "./view_compare";
import { fields as corpus } from "./view_corpus";
import { fields as directions } from "./view_directions";
import { fields as facts } from "./view_facts";
import { fields as feature } from "./view_feature";
import { fields as generate } from "./generate";
import { fields as graph } from "./view_graph";
import { fields as attention } from "./view_attention";
import { fields as list } from "./view_neurons";
import { fields as map } from "./view_map";
import { fields as recall } from "./view_recall";
import { fields as steer } from "./view_steer";
import { fields as study } from "./view_study";
import { fields as superposition } from "./view_superposition";

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
  typeof study &
  typeof superposition;
export type State = Common & Own;

/** Every field as it is where the address does not name it. */
const first = (): State => ({
  ...common,
  ...attention,
  ...beside,
  ...circuit,
  ...compare,
  ...corpus,
  ...directions,
  ...facts,
  ...feature,
  ...generate,
  ...graph,
  ...list,
  ...map,
  ...recall,
  ...steer,
  ...study,
  ...superposition,
});

export function read(): State {
  const q = new URLSearchParams(location.hash.slice(1));
  const out: Record<string, unknown> = first();
  for (const [k, v] of Object.entries(out)) {
    const given = q.get(k);
    if (given === null) continue;
    out[k] = typeof v === "number" ? (Number.isFinite(Number(given)) ? Number(given) : v) : given;
  }
  return out as unknown as State;
}

export function hash(state: State): string {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(first())) {
    const now = state[k as keyof State];
    if (now !== v) q.set(k, String(now));
  }
  return `#${q}`;
}

/** The address has changed: by go(), back, forward or by hand. */
export function onChange(f: () => void) {
  addEventListener("popstate", f);
}
/** Changes the state; replace: without a new entry in the history (sliders). */
export function go(change: Partial<State>, replace = false) {
  const to = hash({ ...read(), ...change });
  if (to === hash(read())) return;
  if (replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  dispatchEvent(new PopStateEvent("popstate"));
}
/** Changes the address alone: what is shown has changed already. */
export function keep(change: Partial<State>) {
  history.replaceState(null, "", hash({ ...read(), ...change }));
}
