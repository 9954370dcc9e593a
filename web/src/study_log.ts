// study_log.ts: what is known of a study so far: runs, results and curves, read on as they come.
import { call, remember } from "./api";
import type { Study, StudyRun } from "./types";

const whole: { study: Study | null } = { study: null };

/** Runs and curves of one answer into what was there. */
function merge(a: Study) {
  const s = whole.study;
  if (!s) {
    whole.study = a;
    return true;
  }
  const grown = a.curves.length > 0 || a.runs.length > 0;
  const fresh = new Map(a.curves.map((c) => [c.name, c]));
  const curves = s.curves.map((c) => fresh.get(c.name) ?? c);
  const known = new Set(s.curves.map((c) => c.name));
  curves.push(...a.curves.filter((c) => !known.has(c.name)));
  whole.study = a.runs.length ? { ...a, curves } : { ...s, seen: a.seen, curves, more: a.more };
  return grown;
}

/** Reads on; true: there is something new. The whole is what a saved page holds. */
export async function more(signal: AbortSignal): Promise<boolean> {
  const a = await call("study", { since: whole.study?.seen ?? 0 }, signal);
  const grown = merge(a);
  remember("study", { since: 0 }, whole.study as Study);
  return grown;
}

/** What is there now; asked for once. */
export async function load(signal: AbortSignal): Promise<Study> {
  if (!whole.study) await more(signal);
  else remember("study", { since: 0 }, whole.study);
  return whole.study as Study;
}
export const now = () => whole.study as Study;

export const ended = (r: StudyRun) => r.state === "done" || r.state === "diverged";

/** What stands out of the runs: those of a kind, size, budget, or of some of these together. */
export type Mark = Partial<Pick<StudyRun, "kind" | "scale" | "budget" | "name">>;
export const marks = (m: Mark, r: StudyRun) =>
  Object.entries(m).every(([k, v]) => r[k as keyof Mark] === v);
/** "kind=mlp&budget=1e12" in the address, and back. */
export const markText = (m: Mark) =>
  new URLSearchParams(
    Object.entries(m).map(([k, v]): [string, string] => [k, String(v)]),
  ).toString();
export function markOf(text: string): Mark | null {
  const q = new URLSearchParams(text);
  const m: Mark = {};
  for (const k of ["kind", "scale", "name"] as const) {
    const v = q.get(k);
    if (v !== null) m[k] = v;
  }
  const budget = Number(q.get("budget") ?? Number.NaN);
  if (Number.isFinite(budget)) m.budget = budget;
  return Object.keys(m).length ? m : null;
}
