// graph_side.ts: beside the graph: the chosen node's name, what it does, and its edges.
import { h, table } from "./dom";
import { exact, percent, signed, tokenText } from "./format";
import type { Edge, Part } from "./graph_groups";
import { acts as doesAct, title as nodeTitle } from "./graph_groups";
import type { Draft } from "./graph_draw";
import { label, title } from "./graph_draw";
import { many } from "./graph_layout";
import { button, featureLink, neuronLink, note, number } from "./parts";
import type { Feature, Neuron, Term, Valued } from "./types";

export interface SideActs {
  select: (i: number) => void;
  pin: (i: number) => void;
  group: () => void;
  name: (i: number, label: string) => void;
  apart: (i: number) => void;
}
const LISTED = 9; // edges each way
const headName = (p: Part) => (p.layer < 0 ? "no head" : `${p.layer}·${p.head}`);

function heads(e: Edge) {
  const all = e.parts?.map((p) => `${headName(p)} ${exact(p.weight)}`).join(", ");
  const first = e.parts?.slice(0, 3).map((p) => {
    return h("div", {}, `${headName(p)} ${signed(p.weight, 3)}`);
  });
  return h("span", { title: all }, first);
}

/** A node's edges one way, strongest first, and their sum. */
export function edgeList(
  d: Draft,
  edges: Edge[],
  other: "from" | "to",
  acts: Pick<SideActs, "select">,
  named: string = other, // for a screen reader
) {
  const sorted = [...edges].sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight));
  const split = sorted.some((e) => e.parts);
  const sum = edges.reduce((a, e) => a + e.weight, 0);
  const node = (i: number) => {
    const n = d.drawn.nodes[i];
    const text = label(d, n) || title(d, n);
    const props = { type: "button", title: title(d, n), onclick: () => acts.select(i) };
    return h("button.link.wrap", props, text);
  };
  const rows = sorted
    .slice(0, LISTED)
    .map((e) => [node(e[other]), number(e.weight), ...(split ? [heads(e)] : [])]);
  return [
    h("h3", { css: { marginTop: "12px" } }, `${other} (${edges.length}), sum ${signed(sum, 3)}`),
    edges.length
      ? table(["node", ">effect", ...(split ? ["by head"] : [])], rows, named)
      : note("none kept"),
  ];
}

const tokens = (list: Valued[], n: number) =>
  list.slice(0, n).map((t) => h("span.chip.mono", { title: exact(t.value) }, tokenText(t.text)));

/** What a neuron does, small: the front of its card. */
export function smallCard(n: Neuron) {
  const fires = n.recorded?.excerpts.slice(0, 3) ?? [];
  return h(
    "div.small-card",
    {},
    n.writes
      ? [
          h("h3", {}, "raises"),
          h("div.chips", {}, tokens(n.writes.top, 6)),
          h("h3", {}, "lowers"),
          h("div.chips", {}, tokens(n.writes.bottom.slice().reverse(), 4)),
        ]
      : null,
    fires.length
      ? [
          h("h3", {}, "fires on"),
          fires.map((f) =>
            h(
              "div.mono.context",
              {},
              f.before.map((t) => tokenText(t.text)).join(""),
              h("b.here", {}, tokenText(f.token.text)),
              f.after.map((t) => tokenText(t.text)).join(""),
            ),
          ),
        ]
      : n.value
        ? [h("h3", {}, "reads, at a bare token"), h("div.chips", {}, tokens(n.value.top, 6))]
        : null,
    neuronLink(n.layer, n.channel, n.index),
  );
}

/** The same of a feature. */
export function smallFeature(f: Feature) {
  const words = (list: Feature["reads"], n: number) =>
    list.slice(0, n).map((x) => {
      return h("span.chip.mono", { title: exact(x.value) }, tokenText(x.token.text));
    });
  return h(
    "div.small-card",
    {},
    h("h3", {}, "reads, at a bare token"),
    h("div.chips", {}, words(f.reads, 6)),
    h("h3", {}, "raises"),
    h("div.chips", {}, words(f.writes, 6)),
    featureLink(f.layer, f.feature),
  );
}

function members(d: Draft, i: number) {
  const n = d.drawn.nodes[i];
  const rows = n.members.slice(0, 12).map((m) => {
    return h("div", {}, nodeTitle(d.g.tokens, d.g.nodes[m]));
  });
  return h(
    "p.note",
    { id: "group-sum" },
    `Influence ${percent(n.influence)}, edges within ${signed(n.inside)}. `,
    rows,
    n.members.length > 12 ? `and ${n.members.length - 12} more` : "",
  );
}

/** What a run without the neuron says, beside the linear reading. */
function trueNote(t: Term | undefined) {
  if (!t) return null;
  const text =
    `Without it the logit changes by ${signed(-(t.true_effect ?? 0), 4)} (true effect ` +
    `${signed(t.true_effect ?? null, 4)}; linear ${signed(t.effect, 4)}, missed ` +
    `${signed(t.missed ?? null, 4)}).`;
  return h("p.note", { id: "true-effect" }, text);
}

export function side(
  d: Draft,
  i: number,
  pinned: boolean,
  held: number,
  acts: SideActs,
  truth?: Term,
) {
  const n = d.drawn.nodes[i];
  const own = n.label !== undefined;
  const onchange = (e: Event) => acts.name(i, (e.target as HTMLInputElement).value.slice(0, 80));
  const placeholder = label(d, n) || "none";
  const field = { id: "node-name", type: "text", value: n.label ?? "", placeholder, onchange };
  return [
    h("h2", {}, title(d, n)),
    label(d, n) && !own && doesAct(n) ? h("p.said", {}, label(d, n)) : null,
    h("div.row", {}, h("label", { for: "node-name" }, "name ", h("input", field))),
    h(
      "div.row.spaced",
      {},
      button(pinned ? "unpin (p)" : "pin (p)", () => acts.pin(i)),
      held > 1 ? button(`group ${held} (g)`, acts.group) : null,
      own && many(n) ? button("take apart", () => acts.apart(i)) : null,
    ),
    own && !many(n) ? note(nodeTitle(d.g.tokens, n)) : null,
    many(n) ? members(d, i) : null,
    many(n) ? null : trueNote(truth),
    h("div", { id: "node-card" }),
    n.input !== undefined
      ? note(
          `Input ${signed(n.input, 5)}; all its edges, before pruning, add up to ` +
            `${signed(n.edges_sum ?? null, 5)} (${(n.edges_abs ?? 0).toFixed(3)} in ` +
            "absolute terms).",
        )
      : null,
    edgeList(
      d,
      d.drawn.edges.filter((e) => e.to === i),
      "from",
      acts,
    ),
    edgeList(
      d,
      d.drawn.edges.filter((e) => e.from === i),
      "to",
      acts,
    ),
  ];
}
