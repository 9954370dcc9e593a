// factors.ts: features scaled, as they stand in the address: "layer.feature.position*scale" joined
// by ";".
export interface Factor {
  layer: number;
  feature: number;
  pos: number | null; // null: everywhere
  scale: number;
}
const MOST = 32;

export function parse(text: string): Factor[] {
  return text
    .split(";")
    .filter(Boolean)
    .map((e) => {
      const [at, scale] = e.split("*");
      const [layer, feature, pos] = at.split(".");
      return {
        layer: Number(layer),
        feature: Number(feature),
        pos: pos ? Number(pos) : null,
        scale: Number(scale),
      };
    })
    .filter((e) => [e.layer, e.feature, e.pos ?? 0, e.scale].every(Number.isFinite))
    .slice(0, MOST);
}
export const key = (e: Omit<Factor, "scale">) => `${e.layer}.${e.feature}.${e.pos ?? ""}`;
export const write = (list: Factor[]) => list.map((e) => `${key(e)}*${e.scale}`).join(";");
/** The list with one feature taken away, once however often it was asked. */
export const takeAway = (list: Factor[], e: Omit<Factor, "scale">) => [
  ...list.filter((x) => key(x) !== key(e)),
  { ...e, scale: 0 },
];
export const edits = (list: Factor[]) =>
  list.map((e) => ({
    layer: e.layer,
    feature: e.feature,
    ...(e.pos === null ? {} : { position: e.pos }),
    scale: e.scale,
  }));
