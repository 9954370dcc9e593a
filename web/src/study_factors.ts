// study_factors.ts: of a study, how many times less compute each kind needs than mlp and moe. The
// server resamples for it, so it is asked for once all runs have ended, or when somebody presses
// the button, and never by the looks that follow the runs.
import { h, table } from "./dom";
import { exact } from "./format";
import { card, note } from "./parts";
import type { StudyLog } from "./study_log";
import type { Study, StudyFactors } from "./types";

const costs = [
  ["flops", "FLOPs"],
  ["seconds", "time"],
  ["cpu_seconds", "processor time"],
  ["memory_bytes", "memory"],
] as const;
type Cost = (typeof costs)[number][0];

const known = (f: StudyFactors) =>
  costs.filter(([by]) => [...f.factors, ...f.no_factors].some((x) => x.by === by));

function cell(f: StudyFactors, kind: string, against: string, by: Cost) {
  const same = (x: { kind: string; against: string; by: string }) =>
    x.kind === kind && x.against === against && x.by === by;
  const x = f.factors.find(same);
  if (!x) return h("span.soft", {}, f.no_factors.find(same)?.why ?? "–");
  const range =
    x.low === null || x.high === null ? "" : ` (${x.low.toFixed(2)} to ${x.high.toFixed(2)})`;
  return h(
    "span",
    { title: exact(x.factor), "data-exact": x.factor },
    h("b", {}, x.factor.toFixed(2)),
    range,
    x.extrapolated ? " *" : "",
  );
}

function against(st: Study, f: StudyFactors, other: string) {
  const kinds = st.asked.kinds.filter((k) => k !== other);
  const by = known(f);
  const el = table(
    [`against ${other}`, ...by.map(([, name]) => `>${name}`)],
    kinds.map((k) => [k, ...by.map(([c]) => cell(f, k, other, c))]),
    `compute-efficiency factors against ${other}`,
  );
  el.dataset.against = other;
  return el;
}

function drawn(f: StudyFactors) {
  if (f.resampled_documents) return `seeds and the ${f.resampled_documents} held-out documents`;
  if (f.resampled_rows)
    return (
      `seeds and the ${f.resampled_rows} rows of the held-out text ` +
      "(results of an older version)"
    );
  return "seeds alone, as runs differ in the documents that their results are of";
}

function tables(st: Study, f: StudyFactors) {
  const others = f.against.filter((k) => st.asked.kinds.includes(k));
  if (!others.length)
    return [note(`Factors are against ${f.against.join(" and ")}; this study has neither.`)];
  const beyond = f.factors.some((x) => x.extrapolated);
  return [
    h(
      "div.grid",
      {},
      others.map((o) => against(st, f, o)),
    ),
    note(
      "How many times less a kind needs for the loss that the other has at the largest budget; " +
        `below 1 it needs more. In brackets 95 % of resamples of ${drawn(f)}.`,
      beyond ? " * beyond what was measured: the kind's line is extended." : null,
      f.ended < f.runs ? ` Made when ${f.ended} of ${f.runs} runs had ended.` : null,
    ),
  ];
}

/** A card that is filled by itself once all runs have ended; update: there is something new. */
export function factorsCard(log: StudyLog, signal: AbortSignal) {
  const { server } = log;
  const saved = server.recorded !== null;
  const box = h("div", { id: "study-factors", "aria-live": "polite" });
  const el = card(h("h2", {}, "Compute-efficiency factors"), box);
  const work = { busy: false, failed: "" };
  const now: { study: Study | null } = { study: null };
  const fresh = (st: Study) =>
    log.factors !== null &&
    log.factors.ended === st.runs.length - st.left &&
    JSON.stringify(log.factors.timing) === JSON.stringify(st.timing);

  async function ask(st: Study) {
    if (work.busy || signal.aborted) return;
    work.busy = true;
    work.failed = "";
    fill(st);
    try {
      log.factors = await server.call("factors", {}, signal);
    } catch (e) {
      work.failed = (e as Error).message;
    }
    work.busy = false;
    if (!signal.aborted) fill(now.study ?? st);
  }
  function fill(st: Study) {
    const f = log.factors;
    const stale = !fresh(st) && (!saved || server.isKept("factors", {}));
    const again = f ? "Again, with what has ended" : "Compute with what has ended";
    const asks = work.busy ? "Resampling …" : again;
    const why = saved
      ? "They were not there when this page was saved."
      : "They are made once all runs have ended.";
    const button = h(
      "button",
      { type: "button", disabled: work.busy, onclick: () => ask(st) },
      asks,
    );
    box.replaceChildren(
      ...(f ? tables(st, f) : []),
      ...(f || (st.left === 0 && !saved) ? [] : [note(why)]),
      ...(work.failed ? [note(work.failed)] : []),
      ...(stale || work.busy ? [button] : []),
    );
  }

  function update(st: Study) {
    now.study = st;
    el.hidden = st.asked.kinds.length < 2;
    if (el.hidden) return;
    if (log.factors) server.remember("factors", {}, log.factors);
    fill(st);
    const may = !saved || server.isKept("factors", {});
    if (may && st.left === 0 && st.runs.length > 0 && !fresh(st) && !work.failed) ask(st);
  }
  return { el, update };
}
