// log_axes.ts: where the ticks of a logarithmic axis stand.

/** 1, 2, 5 of each power of ten, or the powers alone where those are many. */
export function decades(low: number, high: number): number[] {
  const all: number[] = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
    for (const m of [1, 2, 5]) all.push(m * 10 ** e);
  const within = all.filter((v) => v >= low * 0.999 && v <= high * 1.001);
  if (within.length <= 6) return within;
  const powers = within.filter((v) => Math.abs(Math.log10(v) - Math.round(Math.log10(v))) < 1e-9);
  return powers.filter((_, i) => i % Math.ceil(powers.length / 7) === 0);
}
