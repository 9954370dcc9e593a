// view_graph.ts: the attribution graph: nodes by layer and position, edges by their effect; beside
// it what a node does, under it the strongest ways as a sentence.
import { h } from "./dom";
import { count, percent, signed, tokenText } from "./format";
import { go, keep } from "./state";
import type { Shape } from "./graph_groups";
import { acts as doesAct, alike, nodeId, readGroups, shapes, writeGroups } from "./graph_groups";
import type { Draft, Picture } from "./graph_draw";
import { draw, DRAWN, label, title } from "./graph_draw";
import { GraphEye } from "./graph_eye";
import { many, readPlaces, WIDTH, writePlaces } from "./graph_layout";
import { opener } from "./graph_open";
import type { At, Labels } from "./labels";
import { idOf, labelsOf } from "./labels";
import { within } from "./graph_share";
import type { SideActs } from "./graph_side";
import { side, smallCard, smallFeature } from "./graph_side";
import { story } from "./graph_story";
import type { Path, Told } from "./graph_story";
import type { Graph, Neuron, Term } from "./types";
import type { Context, Drawing, View } from "./view";
import { question } from "./view";
import { button, card, more, slider, tick, tokenBox, tokenChoices } from "./parts";

export const fields = {
  keep: 0.6, // share of influence kept
  pins: "", // ids
  node: "", // id of the chosen node
  groups: "", // groups and names (graph_groups.ts)
  places: "", // nodes that were dragged (graph_layout.ts)
  opened: "", // name of a file that was opened
  share: 1, // of a file: share of influence shown; 1: all of it
  split: 0, // 1: edges by head
  feat: 0, // 1: of the transcoders' features
};

const TRUE_SHOWN = 2000;

const ofFeatures = (c: Context) => c.state.feat > 0 && c.info.sparse !== null;

interface Data {
  whole: Graph | null;
  labels: Labels;
  truth: Map<string, Term>; // true effects on the first output, by id; none for files
}

async function fetchGraph(c: Context): Promise<Graph | null> {
  if (c.state.opened) {
    const body = { name: c.state.opened };
    return c.server.isOpened(c.state.opened) ? c.server.call("opened", body, c.signal) : null;
  }
  if (c.pos < 0) return null;
  const targets = [c.state.target, c.state.against].filter(Boolean);
  return c.server.call(
    "graph",
    {
      ...c.prompt,
      position: c.pos,
      node_threshold: c.state.keep,
      ...(targets.length ? { targets } : {}),
      ...(c.state.split ? { heads: true } : {}),
      ...(ofFeatures(c) ? { features: true } : {}),
    },
    c.signal,
    c.progress,
  );
}

/** Labels of the graph's neurons: the model's, or what the file says. */
async function fetchLabels(c: Context, g: Graph | null): Promise<Labels> {
  const said: Labels = new Map();
  const neurons: At[] = [];
  for (const n of g?.nodes ?? []) {
    if (!doesAct(n) || n.channel === undefined || n.index === undefined) continue;
    const at = { layer: n.layer, channel: n.channel, index: n.index };
    neurons.push(at);
    if (n.label) said.set(idOf(at), n.label);
  }
  if (g?.features) return said; // they come with the graph
  // A file may be of another model: it is taken at its own word.
  return c.state.opened ? said : new Map([...said, ...(await labelsOf(c, neurons))]);
}

/** True effects beside the linear edges: of the neurons where they are largest. */
async function fetchTruth(c: Context, g: Graph | null) {
  const by = new Map<string, Term>();
  if (!g || g.features || c.state.opened) return by;
  const asked = { ...question(c, { top: TRUE_SHOWN, verify: 0 }), true: true };
  const a = await c.server.call("attribute", asked, c.signal, c.progress);
  for (const t of a.true?.neurons.terms ?? [])
    by.set(`${t.layer}.${t.channel}.${t.index}.${t.position}`, t);
  return by;
}

function nothing(c: Context): Drawing {
  const gone = c.state.opened !== "";
  return {
    body: [
      card(
        h("h2", {}, gone ? `${c.state.opened} is open no more` : "Type a text above"),
        h(
          "p",
          {},
          gone
            ? "A saved graph is read by this page alone and kept for its tab; this is " +
                "another tab, " +
                "or the browser had no room for it. Open the file once more."
            : "You will see the graph of what made the prediction. A graph that was saved opens " +
                "without a text.",
        ),
        opener(c.server),
      ),
    ],
  };
}

const closed = { opened: "", groups: "", pins: "", places: "", share: 1 };

function fileControls(c: Context) {
  const name = c.state.opened;
  const known = c.server.isOpened(name);
  return [
    h("strong", {}, name),
    c.server.fragile(name) ? h("span.note", {}, "too large to outlive a reload") : null,
    c.info.file === null && !c.server.recorded ? button("close the file", () => go(closed)) : null,
    known
      ? slider(
          "share",
          "share of influence shown ",
          { min: 0.1, max: 1, step: 0.05 },
          c.state.share,
        )
      : null,
  ];
}

function controls(c: Context) {
  const text = c.pos >= 0;
  const range = { min: 0.2, max: 0.95, step: 0.05 };
  const own = c.state.opened
    ? fileControls(c)
    : text
      ? [
          slider("keep", "share of influence kept ", range, c.state.keep),
          tokenBox(c, "target", "output ", "most probable"),
          tokenBox(c, "against", "and ", "none"),
          tokenChoices(c),
          tick("split", "edges by head", c.state.split),
          c.info.sparse ? tick("feat", "features of the transcoders", c.state.feat) : null,
        ]
      : [];
  return [
    h(
      "div.row.toolbar.spread",
      {},
      h("div.row", {}, own),
      c.server.recorded || !own.length ? null : opener(c.server),
    ),
  ];
}

/** What shapes and colours mean. */
function legend(g: Graph) {
  const item = (mark: string, text: string) => h("span", {}, h(`i.key.${mark}`), text);
  return h(
    "div.keys",
    {},
    item("square", "token, output"),
    item("dot.pos", g.features ? "feature" : "neuron, value above 0"),
    g.features ? item("diamond", "what the features miss") : item("dot.neg", "below 0"),
    item("line.pos", "edge that raises"),
    item("line.neg", "lowers"),
    h("span", {}, "size: influence"),
  );
}

/** How much of the whole is on the screen. */
function account(g: Graph, whole: Graph, p: Picture, held: number | null) {
  const neurons = g.nodes.filter(doesAct).length;
  const errors = g.features
    ? ` All paths lead ${percent(g.error_share ?? null)} of it back to what the features miss.`
    : "";
  const drawn = p.left
    ? `of which the ${count(DRAWN)} strongest are drawn (${percent(p.share)} of the ` +
      "weight of all, " +
      "without sign; the lists hold every edge)"
    : "all drawn";
  const who =
    held === null
      ? "They"
      : `Of the file's ${count(whole.nodes.length)} nodes these hold ${percent(held)} of all ` +
        "influence. The file's nodes";
  return (
    `${count(g.nodes.length)} of ${count(g.all_nodes)} nodes shown (${neurons} ` +
    `${g.features ? "features" : "neurons"}), ` +
    `${count(g.edges.length)} edges, ${drawn}. ${who} hold ${percent(g.node_share)} of the ` +
    `influence, the edges ${percent(g.edge_share)} of theirs; kept paths lead ` +
    `${percent(g.input_share)} of the outputs' input back to the tokens.${errors} ` +
    `Largest residue of a ` +
    `node's sum: ${g.worst_residue?.toExponential(1) ?? "–"}.`
  );
}

/** A node's words in the sentence. */
function words(d: Draft, n: Shape) {
  if (n.kind === "token") return `“${tokenText(n.token?.text ?? "")}”`;
  if (n.kind === "bias") return `the bias of layer ${n.layer}`;
  if (n.kind === "error") return `what the features of layer ${n.layer} miss`;
  const at = d.g.tokens[n.position] ? ` at “${tokenText(d.g.tokens[n.position].text)}”` : "";
  const own = n.kind === "feature" ? `feature ${n.index}` : `neuron ${n.channel}·${n.index}`;
  const name = label(d, n) || own;
  return `${name} (layer ${n.layer}${at})`;
}

function sentence(d: Draft, select: (i: number) => void) {
  const told = story(d.drawn);
  if (!told.length) return null;
  const step = (i: number) =>
    h(
      "button.link.wrap",
      { type: "button", title: title(d, d.drawn.nodes[i]), onclick: () => select(i) },
      words(d, d.drawn.nodes[i]),
    );
  const path = (p: Path) => {
    const last = p.steps[p.steps.length - 1];
    return h(
      "span.story-path",
      {},
      p.sign > 0 ? "raised most by " : "lowered most by ",
      p.steps.flatMap((s, k) => (k ? [" → ", step(s.node)] : [step(s.node)])),
      ` (${signed(last.weight, 2)})`,
    );
  };
  const one = ({ output, paths }: Told, k: number) => {
    const out = d.drawn.nodes[output];
    const unknown = out.probability === null || out.probability === undefined;
    return h(
      "span.story-token",
      {},
      k > 1 ? ". Then " : k ? "Then " : "",
      h("strong.mono", {}, `“${tokenText(out.token?.text ?? "")}”`),
      unknown ? " " : ` ${percent(out.probability ?? null)}: `,
      paths.length
        ? paths.flatMap((p, i) => (i ? ["; ", path(p)] : [path(p)]))
        : "no edge that is kept leads to it",
    );
  };
  const rest = told.slice(1).map((t, i) => one(t, i + 1));
  const others = `and ${rest.length > 1 ? `its ${rest.length} other tokens` : "its other token"}`;
  return h(
    "div.story",
    { id: "story" },
    one(told[0], 0),
    ". ",
    rest.length ? h("details", {}, h("summary", {}, others), rest, ".") : null,
  );
}

/** What is done to nodes; the address holds it. */
function actions(
  d: Draft,
  pins: Set<string>,
  held: Set<string>,
  select: (i: number) => void,
  rename: (n: Shape, name: string) => void,
) {
  const of = (n: Shape) => n.members.map((m) => nodeId(d.g.nodes[m]));
  const without = (ids: string[]) => d.groups.filter((x) => !x.ids.some((id) => ids.includes(id)));
  const acts: SideActs = {
    select,
    pin(i) {
      const key = d.drawn.nodes[i].id;
      if (!pins.delete(key)) pins.add(key);
      go({ pins: [...pins].join(";") }, true);
    },
    group() {
      const members = d.drawn.nodes.filter((n) => held.has(n.id));
      if (members.length < 2) return;
      const ids = members.flatMap(of);
      const given = members.find((n) => n.label)?.label ?? `group ${d.groups.length + 1}`;
      go({ groups: writeGroups([...without(ids), { label: given, ids }]) });
    },
    name(i, given) {
      const n = d.drawn.nodes[i];
      const own = given || many(n) ? [{ label: given || "group", ids: of(n) }] : [];
      go({ groups: writeGroups([...without(of(n)), ...own]) });
      // A neuron's name belongs to the model and stands wherever the neuron does.
      if (n.kind === "neuron" && !many(n)) rename(n, given);
    },
    apart: (i) => go({ groups: writeGroups(without(of(d.drawn.nodes[i]))) }),
  };
  return acts;
}

function tools(d: Draft, eye: () => GraphEye) {
  const all = d.groups.length > 0;
  return h(
    "div.map-tools",
    {},
    button("fit", () => eye().fit(), { title: "show all (0)" }),
    button("+", () => eye().zoom(1.4), { "aria-label": "zoom in" }),
    button("−", () => eye().zoom(1 / 1.4), { "aria-label": "zoom out" }),
    button("group like nodes", () => go({ groups: writeGroups(alike(d.g, d.groups, d.labels)) }), {
      title: "one node for the same neuron at several positions, and for neurons of one label",
    }),
    all ? button("ungroup all", () => go({ groups: "" })) : null,
    d.moved.size ? button("put back what was dragged", () => go({ places: "" })) : null,
  );
}

function show(c: Context, { whole, labels, truth }: Data): Drawing {
  if (!whole) return nothing(c);
  const cut = c.state.opened ? within(whole, c.state.share) : { graph: whole, held: null };
  const { graph: g, held } = cut;
  const groups = readGroups(c.state.groups);
  const moved = readPlaces(c.state.places);
  const d: Draft = { g, groups, drawn: shapes(g, groups), labels, moved };
  const list = d.drawn.nodes;
  const pins = new Set(c.state.pins.split(";").filter(Boolean));
  const chosen = new Set<string>(); // held for a group
  const cards = new Map<string, Neuron>();
  const box = h("div.card", { id: "graph-side" });
  let at = -1;
  let started = false;

  const showFeature = async (i: number, layer: number, index: number) => {
    const f = await c.server.call("feature", { layer, index, top: 8 }, c.signal).catch(() => null);
    if (f && at === i) document.getElementById("node-card")?.replaceChildren(smallFeature(f));
  };
  /** A neuron's card, kept; null: it has none here. */
  const cardOf = async (n: Shape) => {
    if (n.kind !== "neuron" || many(n) || !c.info.model || n.index === undefined) return null;
    if (c.state.opened) return null; // of which model is not known
    const at_ = { layer: n.layer, channel: n.channel ?? 0, index: n.index };
    const asked = { ...at_, top: 10, excerpts: 8 };
    const known =
      cards.get(n.id) ?? (await c.server.call("neuron", asked, c.signal).catch(() => null));
    if (known) cards.set(n.id, known);
    return known;
  };
  /** The front of a node's card, once it is there. */
  const showCard = async (i: number) => {
    const n = list[i];
    if (n.kind === "feature" && !many(n) && c.info.model && !c.state.opened)
      return showFeature(i, n.layer, n.index ?? 0);
    const known = await cardOf(n);
    if (known && at === i) document.getElementById("node-card")?.replaceChildren(smallCard(known));
  };
  const select = (i: number) => {
    at = i;
    picture.light(i, chosen);
    if (started) keep({ node: list[i].id });
    if (document.activeElement?.id === "node-name") return;
    const parts = side(d, i, pins.has(list[i].id), chosen.size, acts, truth.get(list[i].id)).flat(
      9,
    );
    box.replaceChildren(...parts.filter((x): x is HTMLElement => x instanceof HTMLElement));
    const known = cards.get(list[i].id);
    if (known) document.getElementById("node-card")?.replaceChildren(smallCard(known));
    else if (started) showCard(i);
  };
  const hold = (i: number) => {
    if (!chosen.delete(list[i].id)) chosen.add(list[i].id);
    select(i);
  };
  const rename = () => undefined; // names of the model come with its store
  const acts = actions(d, pins, chosen, select, rename);
  const hint = (i: number) => {
    const f = cards.get(list[i].id)?.recorded?.excerpts[0];
    if (!f) return "";
    return [...f.before, f.token, ...f.after].map((t) => tokenText(t.text)).join("");
  };
  const point = async (i: number) => !cards.has(list[i].id) && (await cardOf(list[i])) !== null;
  const choose = (i: number, more_: boolean) => (more_ ? hold(i) : select(i));
  const picture = draw(d, pins, { choose, hint, point });
  const eye = new GraphEye(picture.svg, WIDTH, picture.height, {
    seen: (e) => picture.relabel(e.zoom),
    drag: (i, x, y, done) => {
      picture.move(i, x, y);
      moved.set(list[i].id, [x, y]);
      if (done) keep({ places: writePlaces(moved) });
    },
  });
  const walk = (up: boolean) => {
    const edges = d.drawn.edges
      .filter((e) => (up ? e.from === at : e.to === at))
      .sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight));
    if (!edges.length) return;
    const to = up ? edges[0].to : edges[0].from;
    select(to);
    (picture.nodes[to] as unknown as HTMLElement).focus();
  };
  const keys: Record<string, () => void> = {
    p: () => acts.pin(at),
    g: () => acts.group(),
    r: () => document.getElementById("node-name")?.focus(),
    x: () => hold(at),
    ArrowUp: () => walk(true),
    ArrowDown: () => walk(false),
    "+": () => eye.zoom(1.4),
    "-": () => eye.zoom(1 / 1.4),
    "0": () => eye.fit(),
  };
  const known = list.findIndex((n) => n.id === c.state.node);
  const begin = list.findIndex((n) => (pins.size ? pins.has(n.id) : n.kind === "logit"));
  const first = Math.max(0, c.state.node && known >= 0 ? known : begin);
  const share = held !== null && c.state.share < 1 ? held : null;
  return {
    body: [
      h(
        "div.split.graph-split",
        {},
        h(
          "div.card.graph-card",
          {},
          h("div.scroll.graph-frame", {}, picture.svg),
          sentence(d, select),
          h(
            "div.row.spread",
            {},
            tools(d, () => eye),
            legend(g),
          ),
        ),
        box,
      ),
      h(
        "div.row",
        {},
        h(
          "p.note",
          { id: "graph-share", "data-share": picture.share },
          account(g, whole, picture, share),
        ),
        more(
          "how to use the graph",
          "Click a node for what it does and its edges, arrows walk along them; drag it where it " +
            "reads best. The wheel and + − zoom, 0 shows all; zoomed in, more labels " +
            "fit. p pins a " +
            "node. Shift-click or x holds nodes, g makes them one, r names.",
        ),
      ),
    ],
    shown() {
      select(first);
      started = true;
      showCard(first);
      const frame = picture.svg.parentElement as HTMLElement;
      const x = picture.nodes[first].getBoundingClientRect().left;
      frame.scrollLeft += x - frame.getBoundingClientRect().left - frame.clientWidth / 2;
    },
    key(key) {
      keys[key]?.();
      return key in keys;
    },
  };
}

export const graph: View<Data> = {
  name: "graph",
  title: "Graph",
  needsPrompt: false,
  about: "the paths from the text to the prediction, neuron by neuron",
  controls,
  async load(c) {
    const whole = await fetchGraph(c);
    return { whole, labels: await fetchLabels(c, whole), truth: await fetchTruth(c, whole) };
  },
  draw: show,
};
