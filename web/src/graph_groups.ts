// graph_groups.ts: nodes of an attribution graph under one name: a group is drawn as one node, its edges added up; a group of one is a name.
import type { Graph, Node, Token } from "./types";
import { percent, tokenText } from "./format";

export interface Group { label: string; ids: string[] }
/** A drawn node: one of the graph's, or several. */
export interface Shape extends Node { id: string; label?: string; members: number[]; inside: number }
export interface Part { layer: number; head: number; weight: number }
export interface Edge { from: number; to: number; weight: number; count: number; parts?: Part[] }
export interface Shapes { nodes: Shape[]; edges: Edge[] }

export const nodeId = (n: Node) => (n.kind === "neuron" ? `${n.layer}.${n.channel}.${n.index}.${n.position}` : n.kind === "logit" ? `out.${n.token?.id}` : `${n.kind}.${n.layer}.${n.position}`);

/** In the address: "label~id~id|label~id". */
export function readGroups(text: string): Group[] {
  return text.split("|").filter(Boolean).map((part) => {
    const [label, ...ids] = part.split("~");
    try {
      return { label: decodeURIComponent(label), ids };
    } catch {
      return { label, ids };
    }
  }).filter((g) => g.ids.length);
}
const escaped = (label: string) => encodeURIComponent(label).replace(/~/g, "%7E");
export const writeGroups = (list: Group[]) => list.map((g) => [escaped(g.label), ...g.ids].join("~")).join("|");

export function title(tokens: Token[], n: Node): string {
  const at = tokens[n.position] ? ` ${tokenText(tokens[n.position].text)}` : "";
  if (n.kind === "neuron") return `layer ${n.layer} channel ${n.channel} neuron ${n.index} at ${n.position}${at}`;
  if (n.kind === "logit") return `output ${tokenText(n.token?.text ?? "")} ${percent(n.probability ?? null)}`;
  if (n.kind === "bias") return `bias of layer ${n.layer} at ${n.position}`;
  return `input ${n.position} ${tokenText(n.token?.text ?? "")}`;
}

function merge(g: Graph, members: number[], label: string): Shape {
  const by = [...members].sort((a, b) => (g.nodes[b].influence ?? 0) - (g.nodes[a].influence ?? 0)), first = g.nodes[by[0]];
  const sum = (key: "influence" | "input" | "edges_sum" | "edges_abs") => members.reduce((a, i) => a + (g.nodes[i][key] ?? 0), 0);
  return { ...first, id: nodeId(first), label, members: by, inside: 0, influence: sum("influence"), ...(members.length > 1 ? { value: undefined, input: sum("input"), edges_sum: sum("edges_sum"), edges_abs: sum("edges_abs") } : {}) };
}

/** The graph with groups in place of their members. Edges with the same ends add up; those within a group are its "inside". */
export function shapes(g: Graph, groups: Group[]): Shapes {
  const number = new Map(g.nodes.map((n, i) => [nodeId(n), i])), shapeOf = new Array<number>(g.nodes.length).fill(-1), nodes: Shape[] = [];
  for (const group of groups) {
    const members = group.ids.map((id) => number.get(id)).filter((i): i is number => i !== undefined && shapeOf[i] < 0);
    if (!members.length) continue;
    members.forEach((i) => { shapeOf[i] = nodes.length; });
    nodes.push(merge(g, members, group.label));
  }
  g.nodes.forEach((n, i) => {
    if (shapeOf[i] >= 0) return;
    shapeOf[i] = nodes.length;
    nodes.push({ ...n, id: nodeId(n), members: [i], inside: 0 });
  });
  const found = new Map<number, Edge>();
  g.edges.forEach(([a, b, weight], k) => {
    const from = shapeOf[a], to = shapeOf[b], key = from * nodes.length + to;
    if (from === to) {
      nodes[from].inside += weight;
      return;
    }
    const e = found.get(key) ?? { from, to, weight: 0, count: 0, ...(g.heads ? { parts: [] } : {}) };
    e.weight += weight;
    e.count++;
    for (const [layer, head, part] of g.heads?.[k] ?? []) {
      const same = e.parts?.find((p) => p.layer === layer && p.head === head);
      if (same) same.weight += part;
      else e.parts?.push({ layer, head, weight: part });
    }
    found.set(key, e);
  });
  for (const e of found.values()) e.parts?.sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight));
  return { nodes, edges: [...found.values()] };
}

/** A saved graph, ours ("Save JSON") or the form of `sgatlin graph -o FILE.json`. Files are checked: a number out of place is an error. */
export function openGraph(text: string): { graph: Graph; groups: string } {
  const o = JSON.parse(text), graph: Graph = Array.isArray(o?.links) ? fromLinks(o) : o?.graph ?? o;
  const ok = Array.isArray(graph?.nodes) && Array.isArray(graph.edges) && Array.isArray(graph.tokens) && graph.nodes.length > 0 && graph.nodes.length <= 20000 && graph.edges.length <= 1e6;
  if (!ok) throw new Error("This file holds no graph: expected one of Save JSON or of sgatlin graph -o FILE.json.");
  const whole = (x: unknown, lo: number, hi: number) => typeof x === "number" && Number.isInteger(x) && x >= lo && x <= hi;
  graph.nodes.forEach((n, i) => {
    if (!["token", "bias", "neuron", "logit"].includes(n?.kind) || !whole(n.layer, -1, 1000) || !whole(n.position, 0, 1e6)) throw new Error(`This graph's node ${i} is damaged: kind, layer or position.`);
  });
  graph.edges.forEach((e, i) => {
    if (!Array.isArray(e) || !whole(e[0], 0, graph.nodes.length - 1) || !whole(e[1], 0, graph.nodes.length - 1) || !Number.isFinite(e[2])) throw new Error(`This graph's edge ${i} is damaged: source, target or weight.`);
  });
  if (graph.heads && graph.heads.length !== graph.edges.length) delete graph.heads;
  return { graph, groups: typeof o?.groups === "string" ? o.groups : "" };
}
