// recorded.ts: what views of a recording share: the layer that is looked at, and what is said where
// none is open.
import type { Info } from "./types";
import type { Context } from "./view";

export type Recording = NonNullable<Info["recording"]>;

/** The recorded layer of the address; the last one where it names none. */
export const recordedLayer = (c: Context, r: Recording) =>
  r.layers.includes(c.state.layer) ? c.state.layer : r.layers[r.layers.length - 1];

/** Circuits are recorded: null; else how to have them, and what is shown then. */
export function noCircuits(info: Info, shows: string): string | null {
  if (info.recording?.layers.length) return null;
  return info.recording
    ? "The recording holds neurons alone: this kind has no router, so no circuits."
    : "No recording is open. Make one with sgatlin record MODEL --data FILE -o REC, and " +
        `start the explorer with --recording REC: ${shows}.`;
}
