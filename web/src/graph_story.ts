// graph_story.ts: an attribution graph in a sentence: the strongest way from the text to the
// output,
// and the strongest that speaks against it.
import { acts } from "./graph_groups";
import type { Edge, Shapes } from "./graph_groups";

export interface Step {
  node: number; // of the shapes
  weight: number; // of the edge that leads on from it
}
export interface Path {
  steps: Step[]; // from the text up; the last leads into the output
  sign: 1 | -1;
}

/** The edges into each node, strongest without sign first. */
function into(edges: Edge[], n: number): Edge[][] {
  const list: Edge[][] = Array.from({ length: n }, () => []);
  for (const e of edges) list[e.to].push(e);
  for (const l of list) l.sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight));
  return list;
}

/**
 * From the output along the strongest edge of the wanted sign, then along each node's strongest
 * feed, until a token, a bias or an error is reached. Edges go up, so it ends.
 */
function path(d: Shapes, feeds: Edge[][], output: number, sign: 1 | -1): Path | null {
  const first = feeds[output].find((e) => Math.sign(e.weight) === sign);
  if (!first) return null;
  const steps: Step[] = [];
  for (let e: Edge | undefined = first; e && steps.length < 12;) {
    steps.unshift({ node: e.from, weight: e.weight });
    // A neuron's value may be negative: what feeds it most, whatever the sign, made it what it is.
    e = acts(d.nodes[e.from]) ? feeds[e.from][0] : undefined;
  }
  return { steps, sign };
}

export interface Told {
  output: number;
  paths: Path[];
}

/**
 * The most probable output's two paths, for and against; of a word its first token's, where the
 * model decides for it, and behind it how each of its other tokens came. Empty where the graph has
 * no output.
 */
export function story(d: Shapes): Told[] {
  const outputs = d.nodes.map((_, i) => i).filter((i) => d.nodes[i].kind === "logit");
  const places = [...new Set(outputs.map((i) => d.nodes[i].position))].sort((a, b) => a - b);
  const feeds = into(d.edges, d.nodes.length);
  return places.map((place, k) => {
    const output = outputs
      .filter((i) => d.nodes[i].position === place)
      .reduce((a, b) => ((d.nodes[b].probability ?? 0) > (d.nodes[a].probability ?? 0) ? b : a));
    const raised = path(d, feeds, output, 1);
    // Nothing may raise one that hardly comes.
    const lowered = k && raised ? null : path(d, feeds, output, -1);
    const found = [raised, lowered];
    return { output, paths: found.filter((p): p is Path => p !== null) };
  });
}
