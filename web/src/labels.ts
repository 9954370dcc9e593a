// labels.ts: what neurons are called, from the server; "layer.channel.index" to a few words.
import type { Context } from "./view";

export interface At {
  layer: number;
  channel: number;
  index: number;
}
export type Labels = Map<string, string>;
export const idOf = (n: At) => `${n.layer}.${n.channel}.${n.index}`;
const MOST = 4000; // of one request

/** Without labels where the model has none, or the answer fails: numbers say it, too. */
export async function labelsOf(c: Context, neurons: At[]): Promise<Labels> {
  const wanted = new Map(
    neurons.map(({ layer, channel, index }) => {
      const n = { layer, channel, index };
      return [idOf(n), n];
    }),
  );
  const found: Labels = new Map();
  if (!c.info.model || !c.info.names || !wanted.size) return found;
  const list = [...wanted.values()].slice(0, MOST);
  const a = await c.server
    .call("labels", { neurons: list }, c.signal)
    .catch(() => ({ labels: [] }));
  for (const l of a.labels) if (l.label) found.set(idOf(l), l.label);
  return found;
}
