// view_study.ts: a study in the training view: all runs as they go, over FLOPs or time, and what
// came out of those that have ended.
import { h, table } from "./dom";
import { brief, count, exact } from "./format";
import { card, choice, note } from "./parts";
import { go, keep, read } from "./state";
import { colour, duration, power, runsChart, sizesChart } from "./study_chart";
import type { Axis, Loss } from "./study_chart";
import { factorsCard } from "./study_factors";
import { ended, markOf, marks, markText } from "./study_log";
import type { Mark, StudyLog } from "./study_log";
import type { Study, StudyOptimum, StudyRun } from "./types";
import type { Context, Drawing } from "./view";

export const fields = {
  over: "flops", // axis of the curves: flops or seconds
  loss: "held", // of the figure over size: held, held-out loss, or train, the training loss
  marked: "", // runs that stand out, as "kind=mlp"
};

const axisOf = (c: Context): Axis => (c.state.over === "seconds" ? "seconds" : "flops");

const lossOf = (c: Context): Loss => (c.state.loss === "train" ? "train" : "held");

/** Runs of the mark stand out wherever they are drawn; null: those held, or all alike. */
function lighter(root: HTMLElement, log: StudyLog) {
  const lit = (mark: Mark | null) => {
    const m = mark ?? markOf(read().marked);
    root.classList.toggle("dim", m !== null);
    const names = new Map(log.now().runs.map((r) => [r.name, r]));
    for (const e of root.querySelectorAll<HTMLElement>("[data-run]")) {
      const r = names.get(e.dataset.run ?? "");
      e.classList.toggle("lit", m !== null && r !== undefined && marks(m, r));
    }
    for (const e of root.querySelectorAll<HTMLElement>("[data-kind]")) {
      const same = (k: keyof Mark, v: string | undefined) =>
        m?.[k] === undefined || String(m[k]) === v;
      e.classList.toggle(
        "lit",
        m !== null && !m.name && same("kind", e.dataset.kind) && same("budget", e.dataset.budget),
      );
    }
  };
  return lit;
}

/** A button a kind, size and budget: pointed at, its runs stand out; pressed, they stay so. */
function legend(st: Study, light: (m: Mark | null) => void) {
  const buttons: HTMLElement[] = [];
  const press = (m: Mark) => {
    const text = markText(m);
    keep({ marked: read().marked === text ? "" : text });
    for (const b of buttons)
      b.setAttribute("aria-pressed", String(b.dataset.mark === read().marked));
    light(null);
  };
  const entry = (m: Mark, name: string, stroke: string, dashed: string) => {
    const line = h("span.stroke", {
      "aria-hidden": "true",
      css: { borderTop: `3px ${dashed} ${stroke}` },
    });
    const text = markText(m);
    const b = h(
      "button.small",
      {
        type: "button",
        "data-mark": text,
        "aria-pressed": String(read().marked === text),
        onclick: () => press(m),
        onpointerenter: () => light(m),
        onpointerleave: () => light(null),
        onfocus: () => light(m),
        onblur: () => light(null),
      },
      line,
      name,
    );
    buttons.push(b);
    return b;
  };
  const borders = ["solid", "dashed", "dotted", "double"]; // as the dashes of the curves
  const style = (list: unknown[], x: unknown) => borders[list.indexOf(x) % borders.length];
  return h(
    "div.row",
    { id: "study-legend", role: "group", "aria-label": "runs that stand out" },
    st.asked.kinds.map((k) => entry({ kind: k }, k, colour(st, k), "solid")),
    st.asked.scales.map((x) => entry({ scale: x }, x, "var(--soft)", style(st.asked.scales, x))),
    st.asked.budgets.length > 1
      ? st.asked.budgets.map((b) =>
          entry({ budget: b }, `${power(b)} FLOPs`, "var(--soft)", style(st.asked.budgets, b)),
        )
      : [],
  );
}

export function controls(c: Context) {
  return [
    h(
      "div.row.toolbar",
      {},
      choice(
        "over",
        "curves over ",
        [
          ["flops", "FLOPs"],
          ["seconds", "time"],
        ],
        axisOf(c),
        (v) => go({ over: v }),
      ),
      choice(
        "loss",
        "size by ",
        [
          ["held", "held-out loss"],
          ["train", "training loss, last 1 %"],
        ],
        lossOf(c),
        (v) => go({ loss: v }),
      ),
    ),
  ];
}

const state = (r: StudyRun) =>
  r.state === "begun" ? `step ${count(r.step)} of ${count(r.steps)}` : r.state;

function runsTable(st: Study) {
  const curves = new Map(st.curves.map((c) => [c.name, c.loss[c.loss.length - 1]]));
  const loss = (r: StudyRun) => r.train_loss ?? curves.get(r.name) ?? null;
  const number = (x: number | null) =>
    x === null ? "–" : h("span", { title: exact(x), "data-exact": x }, x.toFixed(4));
  const el = table(
    ["run", "state", ">parameters", ">steps", ">time", ">training loss", ">held-out loss"],
    st.runs.map((r) => [
      h("span.mono", {}, r.name),
      r.problem ? h("span", { title: r.problem }, `${state(r)}, damaged`) : state(r),
      brief(r.parameters),
      count(r.steps),
      r.seconds ? duration(r.seconds) : "–",
      number(loss(r)),
      number(r.valid_loss),
    ]),
    "runs of the study",
  );
  el.id = "study-runs";
  [...el.querySelectorAll("tbody tr")].forEach((row, i) =>
    row.setAttribute("data-run", st.runs[i].name),
  );
  return el;
}

function summary(st: Study) {
  const over = st.runs.filter(ended);
  const begun = st.runs.filter((r) => r.state === "begun").length;
  const wild = st.runs.filter((r) => r.state === "diverged").length;
  const flops = (list: StudyRun[]) => list.reduce((a, r) => a + r.flops, 0);
  const words = [
    `${over.length} of ${st.runs.length} runs have ended`,
    begun ? `${begun} more have begun` : null,
    wild ? `${wild} diverged` : null,
    `${power(flops(over))} of ${power(flops(st.runs))} FLOPs`,
  ];
  return `${words.filter(Boolean).join(", ")}.`;
}

/** Whose seconds the times of this page are. */
function times(st: Study) {
  const t = st.timing;
  const words =
    t.by === "timings"
      ? `Times are steps timed anew, not as the runs took (${t.processor ?? ""}, ` +
        `${t.instructions ?? ""}, threads: ${t.threads}, ${t.date ?? ""}).`
      : "Times are as the runs took, each on its machine.";
  return h("p.note", { id: "study-times" }, words, t.problem ? ` ${t.problem}` : null);
}

function problems(st: Study) {
  const list = st.runs.filter((r) => r.problem);
  if (!list.length) return null;
  return h(
    "div.note.warning",
    { id: "study-problems", role: "status" },
    "What can not be read is left out:",
    h(
      "ul",
      {},
      list.slice(0, 20).map((r) => h("li", {}, `${r.name}: ${r.problem}`)),
      list.length > 20 ? h("li", {}, `and ${list.length - 20} more`) : null,
    ),
  );
}

function settings(st: Study) {
  return st.best_settings.map((b) =>
    note(
      b.set.length
        ? `Best settings of ${b.kind}: ${b.set.join(" ")}`
        : `Best settings of ${b.kind} are not known yet.`,
      b.on_an_edge
        ? ` (${b.on_an_edge} is the first or last that was tried: the best may lie beyond)`
        : null,
    ),
  );
}

function optima(list: StudyOptimum[]) {
  if (!list.length) return null;
  return table(
    ["kind", ">budget", ">best parameters", ">loss", ""],
    list.map((o) => [
      o.kind,
      power(o.budget),
      brief(o.non_embedding_parameters),
      h("span", { title: exact(o.loss), "data-exact": o.loss }, o.loss.toFixed(4)),
      o.inside ? "" : "lowest measured",
    ]),
    "best size of each kind at each budget",
  );
}

function body(st: Study, axis: Axis, loss: Loss, light: (m: Mark | null) => void) {
  return [
    h(
      "div.grid.wide",
      {},
      card(
        h("h2", {}, axis === "flops" ? "Loss over FLOPs" : "Loss over time"),
        runsChart(st, axis, light),
      ),
      card(
        h("h2", {}, "Loss over size at equal FLOPs"),
        sizesChart(st, loss, light),
        optima(loss === "held" ? st.optima : st.train_optima),
      ),
    ),
    card(
      h("h2", {}, "Runs"),
      h("p.note", { id: "study-now" }, summary(st)),
      times(st),
      problems(st),
      settings(st),
      runsTable(st),
    ),
  ];
}

const AGAIN = 2000; // ms between two looks

export const load = (c: Context) => c.study.load(c.signal);

export function draw(c: Context, first: Study): Drawing {
  const axis = axisOf(c);
  const loss = lossOf(c);
  const factors = factorsCard(c.study, c.signal);
  const box = h("div", { id: "study-body" });
  const root = h("div.study-view", {});
  const light = lighter(root, c.study);
  const fill = (st: Study) => {
    const runs = box.querySelector<HTMLElement>("#study-runs");
    const scrolled = runs?.scrollTop ?? 0;
    box.replaceChildren(...body(st, axis, loss, light));
    factors.update(st);
    const again = box.querySelector<HTMLElement>("#study-runs");
    if (again) again.scrollTop = scrolled;
    light(null);
  };
  root.append(card(legend(first, light)), box, factors.el);
  root.addEventListener("pointerover", (e) => {
    const row = (e.target as Element).closest<HTMLElement>("tr[data-run]");
    if (row) light({ name: row.dataset.run ?? "" });
  });
  root.addEventListener("pointerout", (e) => {
    if ((e.target as Element).closest("tr[data-run]")) light(null);
  });
  fill(first);
  return {
    body: [root],
    shown() {
      const look = async () => {
        if (c.signal.aborted) return;
        if (!document.hidden) {
          const grown = await c.study.more(c.signal).catch(() => false); // the next look asks again
          if (grown && !c.signal.aborted) fill(c.study.now());
        }
        if (!c.signal.aborted) setTimeout(look, c.study.now().more ? 0 : AGAIN);
      };
      setTimeout(look, first.more ? 0 : AGAIN);
    },
  };
}
