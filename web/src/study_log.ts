// study_log.ts: what is known of a study so far: runs, results and curves, read on as they come.
// The page makes one log and keeps it while it stands (app.ts), so that a view comes back to it.
import type { Server } from "./api";
import type { Study, StudyFactors, StudyRun } from "./types";

/** Runs and curves of one answer into what was there. */
function merged(s: Study, a: Study): Study {
  const fresh = new Map(a.curves.map((c) => [c.name, c]));
  const curves = s.curves.map((c) => fresh.get(c.name) ?? c);
  const known = new Set(s.curves.map((c) => c.name));
  curves.push(...a.curves.filter((c) => !known.has(c.name)));
  return a.runs.length ? { ...a, curves } : { ...s, seen: a.seen, curves, more: a.more };
}

export class StudyLog {
  readonly server: Server;
  private whole: Study | null = null;
  factors: StudyFactors | null = null; // the last that were made

  constructor(server: Server) {
    this.server = server;
  }

  /** Reads on; true: there is something new. The whole is what a saved page holds. */
  async more(signal: AbortSignal): Promise<boolean> {
    const s = this.whole;
    const a = await this.server.call("study", { since: s?.seen ?? 0 }, signal);
    this.whole = s ? merged(s, a) : a;
    this.server.remember("study", { since: 0 }, this.whole);
    return !s || a.curves.length > 0 || a.runs.length > 0;
  }

  /** What is there now; asked for once. */
  async load(signal: AbortSignal): Promise<Study> {
    if (!this.whole) await this.more(signal);
    else this.server.remember("study", { since: 0 }, this.whole);
    return this.now();
  }
  now() {
    return this.whole as Study;
  }
}

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
