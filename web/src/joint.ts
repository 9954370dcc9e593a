// joint.ts: neurons scaled together with gates, attention and norms held: exact for any factors,
// from one answer of the server.
import type { Joint } from "./types";

export interface Edit {
  layer: number;
  channel: number;
  neuron: number;
  pos: number | null;
  scale: number;
}

export function parse(text: string): Edit[] {
  return text
    .split(";")
    .filter(Boolean)
    .map((e) => {
      const [at, scale] = e.split("*");
      const n = at.split(".");
      return {
        layer: Number(n[0]),
        channel: Number(n[1]),
        neuron: Number(n[2]),
        pos: n[3] ? Number(n[3]) : null,
        scale: Number(scale),
      };
    })
    .filter((e) => [e.layer, e.channel, e.neuron, e.scale].every(Number.isFinite))
    .slice(0, 32);
}
export const key = (e: Omit<Edit, "scale">) => `${e.layer}.${e.channel}.${e.neuron}.${e.pos ?? ""}`;
export const write = (list: Edit[]) => list.map((e) => `${key(e)}*${e.scale}`).join(";");
/** The list with one neuron taken away, once however often it was asked. */
export const takeAway = (text: string, e: Omit<Edit, "scale">) =>
  write([...parse(text).filter((x) => key(x) !== key(e)), { ...e, scale: 0 }]);

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
