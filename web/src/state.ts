// state.ts: the whole state of the page stands in the address, so that back, forward and links
// work.
export interface State {
  view: string;
  text: string;
  pos: number; // -1: the last
  colour: string;
  tinted: string; // strip: the neuron that colours it, "layer.channel.index"
  quantity: string; // strip: its value, gate or input
  target: string;
  against: string;
  effects: string; // direct or total
  rerun: number; // circuit: run again without so many of the largest
  layer: number; // -1: attention the first, corpus and map the last recorded, as the commands
  head: number;
  neuron: string; // "layer.channel.index"
  keep: number; // graph: share of influence kept
  pins: string; // graph: ids
  node: string; // graph: id of the chosen node
  find: string; // corpus: text whose circuit is the query
  place: number; // corpus: position that is the query; -1: find
  units: string; // corpus: "channel.neuron;...": places where they fire together
  channel: number; // corpus; -1: all
  groups: string; // graph: groups and names (graph_groups.ts)
  opened: string; // graph: name of a file that was opened
  share: number; // graph of a file: share of influence shown; 1: all of it
  split: number; // graph: 1: edges by head
  doc: number; // document of --data that the text is; -1: typed
  docfind: string; // documents that hold it
  static: string; // 1: without controls
  by: string; // map: input or target
  top: number; // map: so many tokens
  docs: number; // map: documents; 0: all
  tint: string; // map: input, target, category, topic
  seek: string; // map: part of tokens that stand out
  eye: string; // map: "x,y,zoom"
  lit: string; // map: "channel.neuron" whose circuits stand out
  own: number; // map: 1: the prompt's positions on it
  lasso: string; // map: "x,y;..."
  facts: string; // facts: type
  pair: string; // facts: "clean|counterfactual", or all
  patched: string; // facts: position, noun or last
  other: string; // compare: the second prompt
  opos: number; // compare: its position; -1: the last
  edits: string; // steer: "layer.channel.index.pos*scale", joined by ";"
}
const first: State = {
  view: "predictions",
  text: "",
  pos: -1,
  colour: "loss",
  tinted: "0.0.0",
  quantity: "value",
  target: "",
  against: "",
  effects: "direct",
  rerun: 0,
  node: "",
  layer: -1,
  head: 0,
  neuron: "0.0.0",
  keep: 0.6,
  pins: "",
  find: "",
  place: -1,
  units: "",
  channel: -1,
  edits: "",
  groups: "",
  opened: "",
  share: 1,
  split: 0,
  doc: -1,
  docfind: "",
  static: "",
  by: "input",
  top: 100,
  docs: 64,
  tint: "input",
  seek: "",
  eye: "",
  lit: "",
  own: 1,
  lasso: "",
  facts: "",
  pair: "",
  patched: "noun",
  other: "",
  opos: -1,
};

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
