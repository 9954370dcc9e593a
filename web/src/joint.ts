// joint.ts: neurons scaled together with gates, attention and norms held: exact for any factors,
// from one answer of the server.
import { scaled } from "./scaled";
import type { Scaled } from "./scaled";
import type { Joint } from "./types";

const names = ["layer", "channel", "neuron"] as const;
export type Edit = Scaled<(typeof names)[number]>;
export const { parse, key, write, takeAway } = scaled(names);

type Neuron = Joint["neurons"][number];
export const meets = (e: Edit, n: Neuron) =>
  e.layer === n.layer &&
  e.channel === Math.max(0, n.channel) &&
  e.neuron === n.index &&
  (e.pos === null || e.pos === n.position);
const factor = (list: Edit[], n: Neuron) =>
  list.reduce((f, e) => (meets(e, n) ? f * e.scale : f), 1);

/**
 * Each neuron's value is what it was plus what those below push into it; a factor pushes in turn.
 * Neurons come lower layers first.
 */
export function together(j: Joint, list: Edit[]): number {
  const value = j.neurons.map((n) => n.value ?? 0);
  let sum = 0;
  const from = new Map<number, [number, number][]>();
  for (const [a, b, w] of j.links) from.set(a, [...(from.get(a) ?? []), [b, w]]);
  j.neurons.forEach((n, i) => {
    const push = (factor(list, n) - 1) * value[i];
    sum += push * (n.effect ?? 0);
    for (const [b, w] of from.get(i) ?? []) value[b] += push * w;
  });
  return sum;
}
/** What each alone would do, added up. */
export const alone = (j: Joint, list: Edit[]) =>
  j.neurons.reduce((s, n) => s + (factor(list, n) - 1) * (n.value ?? 0) * (n.effect ?? 0), 0);
