// graph_share.ts: a threshold for graphs of files: what of them is shown.
import type { Graph } from "./types";

/**
 * The most influential nodes that together hold the share; tokens and outputs stay. A file that
 * tells no influence is shown whole.
 */
export function within(g: Graph, share: number): { graph: Graph; held: number | null } {
  const known = g.nodes.some((n) => n.cumulative !== null && n.kind !== "logit");
  if (share >= 1 || !known) return { graph: g, held: known ? 1 : null };
  const to = new Array<number>(g.nodes.length).fill(-1);
  let held = 0;
  const nodes = g.nodes.filter((n, i) => {
    const fits = (n.cumulative ?? 0) <= share;
    const stays = n.kind === "token" || n.kind === "logit" || fits;
    if (fits && n.kind !== "logit") held = Math.max(held, n.cumulative ?? 0);
    if (stays) to[i] = 1;
    return stays;
  });
  let next = 0;
  for (let i = 0; i < to.length; i++) if (to[i] > 0) to[i] = next++;
  const edges: Graph["edges"] = [];
  const heads: NonNullable<Graph["heads"]> = [];
  g.edges.forEach(([a, b, w], k) => {
    if (to[a] < 0 || to[b] < 0) return;
    edges.push([to[a], to[b], w]);
    if (g.heads) heads.push(g.heads[k]);
  });
  return { graph: { ...g, nodes, edges, ...(g.heads ? { heads } : {}) }, held };
}
