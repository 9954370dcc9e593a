// scaled.ts: neurons or features with factors, as they stand in the address:
// "layer.index.position*factor" joined by ";"; an empty position: everywhere.
const MOST = 32;

type Named<K extends string> = Record<K, number>;
export type Scaled<K extends string> = Named<K> & {
  pos: number | null; // null: everywhere
  scale: number;
};

/** Reads and writes lists of what these numbers name. */
export function scaled<K extends string>(names: readonly K[]) {
  type One = Scaled<K>;
  type At = Omit<One, "scale">;
  const one = (text: string): One => {
    const [at, scale] = text.split("*");
    const numbers = at.split(".");
    const named = Object.fromEntries(names.map((k, i) => [k, Number(numbers[i])])) as Named<K>;
    const pos = numbers[names.length];
    return { ...named, pos: pos ? Number(pos) : null, scale: Number(scale) };
  };
  const finite = (e: One) =>
    [...names.map((k) => e[k]), e.pos ?? 0, e.scale].every(Number.isFinite);
  const parse = (text: string): One[] =>
    text.split(";").filter(Boolean).map(one).filter(finite).slice(0, MOST);
  const key = (e: At) => [...names.map((k) => (e as Named<K>)[k]), e.pos ?? ""].join(".");
  const write = (list: One[]) => list.map((e) => `${key(e)}*${e.scale}`).join(";");
  /** The list with one of them taken away, once however often it was asked. */
  const takeAway = (text: string, e: At) =>
    write([...parse(text).filter((x) => key(x) !== key(e)), { ...e, scale: 0 } as One]);
  return { parse, key, write, takeAway };
}
