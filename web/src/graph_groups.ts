// graph_groups.ts: nodes of an attribution graph under one name: a group is drawn as one node, its
// edges added up; a group of one is a name.
import type { Graph, Node, Token } from "./types";
import { percent, tokenText } from "./format";

export interface Group {
  label: string;
  ids: string[];
}
/** A drawn node: one of the graph's, or several. */
export interface Shape extends Node {
  id: string;
  label?: string;
  members: number[];
  inside: number;
}
export interface Part {
  layer: number;
  head: number;
  weight: number;
}
export interface Edge {
  from: number;
  to: number;
  weight: number;
  count: number;
  parts?: Part[];
}
export interface Shapes {
  nodes: Shape[];
  edges: Edge[];
}

/** What acts and is explained in turn: a neuron, or a feature of a transcoder. */
export const acts = (n: Node) => n.kind === "neuron" || n.kind === "feature";

export const nodeId = (n: Node) =>
  acts(n)
    ? `${n.layer}.${n.channel}.${n.index}.${n.position}`
    : n.kind === "logit"
      ? `out.${n.token?.id}`
      : `${n.kind}.${n.layer}.${n.position}`;

/** In the address: "label~id~id|label~id". */
export function readGroups(text: string): Group[] {
  return text
    .split("|")
    .filter(Boolean)
    .map((part) => {
      const [label, ...ids] = part.split("~");
      try {
        return { label: decodeURIComponent(label), ids };
      } catch {
        return { label, ids };
      }
    })
    .filter((g) => g.ids.length);
}
const escaped = (label: string) => encodeURIComponent(label).replace(/~/g, "%7E");
export const writeGroups = (list: Group[]) =>
  list.map((g) => [escaped(g.label), ...g.ids].join("~")).join("|");

export function title(tokens: Token[], n: Node): string {
  const at = tokens[n.position] ? ` ${tokenText(tokens[n.position].text)}` : "";
  if (n.kind === "feature") return `layer ${n.layer} feature ${n.index} at ${n.position}${at}`;
  if (n.kind === "error") return `what the features of layer ${n.layer} miss at ${n.position}${at}`;
  if (n.kind === "neuron")
    return `layer ${n.layer} channel ${n.channel} neuron ${n.index} at ${n.position}${at}`;
  if (n.kind === "logit")
    return `output ${tokenText(n.token?.text ?? "")} ${percent(n.probability ?? null)}`;
  if (n.kind === "bias") return `bias of layer ${n.layer} at ${n.position}`;
  return `input ${n.position} ${tokenText(n.token?.text ?? "")}`;
}

function merge(g: Graph, members: number[], label: string): Shape {
  const by = [...members].sort((a, b) => (g.nodes[b].influence ?? 0) - (g.nodes[a].influence ?? 0));
  const first = g.nodes[by[0]];
  const sum = (key: "influence" | "input" | "edges_sum" | "edges_abs") =>
    members.reduce((a, i) => a + (g.nodes[i][key] ?? 0), 0);
  return {
    ...first,
    id: nodeId(first),
    label,
    members: by,
    inside: 0,
    influence: sum("influence"),
    ...(members.length > 1
      ? {
          value: undefined,
          input: sum("input"),
          edges_sum: sum("edges_sum"),
          edges_abs: sum("edges_abs"),
        }
      : {}),
  };
}

/**
 * The graph with groups in place of their members. Edges with the same ends add up; those within a
 * group are its "inside".
 */
export function shapes(g: Graph, groups: Group[]): Shapes {
  const number = new Map(g.nodes.map((n, i) => [nodeId(n), i]));
  const shapeOf = new Array<number>(g.nodes.length).fill(-1);
  const nodes: Shape[] = [];
  for (const group of groups) {
    const members = group.ids
      .map((id) => number.get(id))
      .filter((i): i is number => i !== undefined && shapeOf[i] < 0);
    if (!members.length) continue;
    members.forEach((i) => {
      shapeOf[i] = nodes.length;
    });
    nodes.push(merge(g, members, group.label));
  }
  g.nodes.forEach((n, i) => {
    if (shapeOf[i] >= 0) return;
    shapeOf[i] = nodes.length;
    nodes.push({ ...n, label: undefined, id: nodeId(n), members: [i], inside: 0 });
  });
  const found = new Map<number, Edge>();
  g.edges.forEach(([a, b, weight], k) => {
    const from = shapeOf[a];
    const to = shapeOf[b];
    const key = from * nodes.length + to;
    if (from === to) {
      nodes[from].inside += weight;
      return;
    }
    const e = found.get(key) ?? {
      from,
      to,
      weight: 0,
      count: 0,
      ...(g.heads ? { parts: [] } : {}),
    };
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

interface Linked {
  metadata?: { prompt_tokens?: unknown };
  nodes: {
    node_id: string;
    layer: string;
    ctx_idx: number;
    feature_type: string;
    clerp?: string;
    feature: number;
    activation: number | null;
    influence: number | null;
    token_prob?: number;
    channel?: number;
    neuron?: number;
    input?: number;
    edges_sum?: number;
    edges_abs?: number;
  }[];
  links: { source: string; target: string; weight: number; heads?: [number, number, number][] }[];
  sgatlin?: Record<string, number> & { features?: boolean };
}
const kinds: Record<string, Node["kind"]> = {
  embedding: "token",
  bias: "bias",
  logit: "logit",
  "mlp reconstruction error": "error",
};

/**
 * The form of circuit-tracer's frontend, as sgatlin graph writes it. Its "influence" is our
 * cumulative share.
 */
function fromLinks(o: Linked): Graph {
  const words = Array.isArray(o.metadata?.prompt_tokens)
    ? o.metadata.prompt_tokens.map(String)
    : [];
  const number = new Map(o.nodes.map((n, i) => [n.node_id, i]));
  const nodes = o.nodes.map((n): Node => {
    const kind = kinds[n.feature_type] ?? (o.sgatlin?.features ? "feature" : "neuron");
    const said = kind === "logit" ? /^Output "([^]*)" \(p=/.exec(String(n.clerp)) : null;
    const text = kind === "token" ? (words[n.ctx_idx] ?? "") : (said?.[1] ?? "");
    return {
      kind,
      layer: kind === "token" ? -1 : kind === "logit" ? Number(n.layer) - 1 : Number(n.layer),
      position: n.ctx_idx,
      influence: null,
      cumulative: n.influence,
      ...(kind === "neuron" || kind === "feature"
        ? { channel: n.channel, index: n.neuron, value: n.activation }
        : kind === "bias" || kind === "error"
          ? {}
          : { token: { id: n.feature, text } }),
      ...(kind === "logit" ? { probability: n.token_prob } : {}),
      ...(n.input === undefined
        ? {}
        : { input: n.input, edges_sum: n.edges_sum, edges_abs: n.edges_abs }),
    };
  });
  const share = (key: string) => o.sgatlin?.[key] ?? null;
  return {
    tokens: words.map((text, id) => ({ id, text })),
    position: nodes.find((n) => n.kind === "logit")?.position ?? 0,
    all_nodes: o.sgatlin?.all_nodes ?? nodes.length,
    explored: o.sgatlin?.explored ?? 0,
    node_share: share("node_share"),
    edge_share: share("edge_share"),
    input_share: share("input_share"),
    worst_residue: share("worst_residue"),
    ...(o.sgatlin?.features ? { features: true, error_share: share("error_share") } : {}),
    nodes,
    edges: o.links.map((l) => [number.get(l.source) ?? -1, number.get(l.target) ?? -1, l.weight]),
    ...(o.links.some((l) => l.heads) ? { heads: o.links.map((l) => l.heads ?? []) } : {}),
  };
}

/**
 * A saved graph: a view saved as JSON, or the form of `sgatlin graph -o FILE.json`. Files are
 * checked: a number out of place is an error.
 */
export const openGraph = (text: string) => readGraph(JSON.parse(text));
export function readGraph(o: any): { graph: Graph; groups: string } {
  const graph: Graph =
    Array.isArray(o?.links) && Array.isArray(o.nodes)
      ? fromLinks(o)
      : ((o?.calls as { call: string; answer: Graph }[] | undefined)?.find?.(
          (x) => x.call === "graph" || x.call === "opened",
        )?.answer ?? o);
  const ok =
    Array.isArray(graph?.nodes) &&
    Array.isArray(graph.edges) &&
    Array.isArray(graph.tokens) &&
    graph.nodes.length > 0 &&
    graph.nodes.length <= 20000 &&
    graph.edges.length <= 1e6;
  if (!ok)
    throw new Error(
      "This file holds no graph: expected one saved here as JSON, or one of sgatlin " +
        "graph -o FILE.json.",
    );
  const whole = (x: unknown, lo: number, hi: number) =>
    typeof x === "number" && Number.isInteger(x) && x >= lo && x <= hi;
  graph.nodes.forEach((n, i) => {
    if (
      !["token", "bias", "neuron", "logit", "feature", "error"].includes(n?.kind) ||
      !whole(n.layer, -1, 1000) ||
      !whole(n.position, 0, 1e6)
    )
      throw new Error(`This graph's node ${i} is damaged: kind, layer or position.`);
  });
  graph.edges.forEach((e, i) => {
    if (
      !Array.isArray(e) ||
      !whole(e[0], 0, graph.nodes.length - 1) ||
      !whole(e[1], 0, graph.nodes.length - 1) ||
      !Number.isFinite(e[2])
    )
      throw new Error(`This graph's edge ${i} is damaged: source, target or weight.`);
  });
  if (
    graph.heads &&
    (graph.heads.length !== graph.edges.length ||
      !graph.heads.every((x) => Array.isArray(x) && x.every(Array.isArray)))
  )
    delete graph.heads;
  return { graph, groups: typeof o?.view?.groups === "string" ? o.view.groups : "" };
}

/**
 * Groups of like nodes, beside those that are there: the same neuron at several positions; then
 * neurons of one layer whose labels say the same.
 */
export function alike(g: Graph, groups: Group[], labels: Map<string, string>): Group[] {
  const taken = new Set(groups.flatMap((x) => x.ids));
  const found = new Map<string, { label: string; ids: string[] }>();
  for (const n of g.nodes) {
    const id = nodeId(n);
    if (!acts(n) || taken.has(id)) continue;
    const neuron = `${n.layer}.${n.channel}.${n.index}`;
    const said = labels.get(neuron);
    const key = said ? `${n.layer} ${said}` : neuron;
    const label = said ?? `${n.layer} · ${n.channel} · ${n.index}`;
    const group = found.get(key) ?? { label, ids: [] };
    group.ids.push(id);
    found.set(key, group);
  }
  return [...groups, ...[...found.values()].filter((x) => x.ids.length > 1)];
}
