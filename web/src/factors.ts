// factors.ts: features scaled, as they stand in the address and as a call has them.
import { scaled } from "./scaled";
import type { Scaled } from "./scaled";

const names = ["layer", "feature"] as const;
export type Factor = Scaled<(typeof names)[number]>;
export const { parse, key, write, takeAway } = scaled(names);

export const edits = (list: Factor[]) =>
  list.map((e) => ({
    layer: e.layer,
    feature: e.feature,
    ...(e.pos === null ? {} : { position: e.pos }),
    scale: e.scale,
  }));
