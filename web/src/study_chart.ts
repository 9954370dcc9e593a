// study_chart.ts: a study's two figures: the loss of all runs as they go, and the loss of those
// that have ended over their size. A colour a kind, a dash a size; what is drawn says its run or
// its kind and budget, so that the view can light it up.
import { extent } from "d3-array";
import { scaleLinear, scaleLog } from "d3-scale";
import { line as path } from "d3-shape";
import { h, hideTip, s, showTip } from "./dom";
import { exact } from "./format";
import { decades } from "./log_axes";
import { markText } from "./study_log";
import type { Mark } from "./study_log";
import type { Study, StudyCurve, StudyRun } from "./types";

const W = 560;
const H = 330;
const L = 50;
const B = 40;
const KINDS = 8; // colours, after which they recur
const dashes = ["", "7 3", "2 3", "9 3 2 3"];

export const colour = (st: Study, kind: string) =>
  `var(--kind-${Math.max(0, st.asked.kinds.indexOf(kind)) % KINDS})`;
export const dash = (list: unknown[], what: unknown) =>
  dashes[Math.max(0, list.indexOf(what)) % dashes.length];

export function duration(x: number): string {
  if (x < 100) return `${Number(x.toPrecision(2))} s`;
  if (x < 6000) return `${Number((x / 60).toPrecision(2))} min`;
  return `${Number((x / 3600).toPrecision(2))} h`;
}
export const power = (x: number) => (x === 0 ? "0" : x.toExponential(2).replace(/\.?0*e\+?/, "e"));

interface Plane {
  x: (v: number) => number;
  y: (v: number) => number;
  axes: SVGElement[];
}

/** Logarithmic axes around the points, with their titles. */
function plane(
  points: [number, number][],
  titles: [string, string],
  shown: (v: number) => string,
): Plane {
  const [x0 = 1, x1 = 10] = extent(points, (p) => p[0]);
  const [y0 = 1, y1 = 10] = extent(points, (p) => p[1]);
  const wide = x1 > x0 ? 1.04 : 1.5;
  const tall = y1 > y0 ? (y1 / y0) ** 0.05 : 1.05;
  const x = scaleLog()
    .domain([x0 / wide, x1 * wide])
    .range([L, W - 12]);
  const y = scaleLog()
    .domain([y0 / tall, y1 * tall])
    .range([H - B, 10]);
  const rows = scaleLinear()
    .domain([y0 / tall, y1 * tall])
    .ticks(6);
  const axes = [
    ...rows.flatMap((v) => [
      s("line", { class: "axis", x1: L, x2: W - 12, y1: y(v), y2: y(v) }),
      s(
        "text",
        { class: "soft", x: L - 7, y: y(v) + 4, "text-anchor": "end" },
        String(Number(v.toPrecision(4))),
      ),
    ]),
    ...decades(x0 / wide, x1 * wide).map((v) =>
      s("text", { class: "soft", x: x(v), y: H - B + 16, "text-anchor": "middle" }, shown(v)),
    ),
    s("text", { class: "soft", x: (L + W) / 2, y: H - 6, "text-anchor": "middle" }, titles[0]),
    s("text", { class: "soft", x: 4, y: 10 }, titles[1]),
  ];
  return { x, y, axes };
}

/** Content under the pointer, and the mark lit, while the element is pointed at. */
function pointed<T extends Element>(
  el: T,
  content: () => string,
  mark: Mark,
  light: (m: Mark | null) => void,
): T {
  el.setAttribute("data-mark", markText(mark));
  el.addEventListener("pointerenter", (e) => {
    const at = e as PointerEvent;
    showTip({ getBoundingClientRect: () => new DOMRect(at.clientX, at.clientY, 0, 0) }, content());
    light(mark);
  });
  el.addEventListener("pointerleave", () => {
    hideTip();
    light(null);
  });
  return el;
}

export type Axis = "flops" | "seconds";

const pointsOf = (c: StudyCurve, axis: Axis) =>
  c.loss
    .map((y, i): [number | null, number | null] => [c[axis][i], y])
    .filter((p): p is [number, number] => (p[0] ?? 0) > 0 && (p[1] ?? 0) > 0);
const endOf = (r: StudyRun, axis: Axis): [number, number] | null => {
  const x = axis === "flops" ? r.flops : r.seconds;
  return r.valid_loss && x && x > 0 ? [x, r.valid_loss] : null;
};

/** The training loss of every run, and its held-out loss where it has ended. */
export function runsChart(
  st: Study,
  axis: Axis,
  light: (m: Mark | null) => void,
): HTMLElement | SVGElement {
  const curves = new Map(st.curves.map((c) => [c.name, c]));
  const all = st.runs.map((r) => {
    const c = curves.get(r.name);
    return { r, p: c ? pointsOf(c, axis) : [], end: endOf(r, axis) };
  });
  const every = all.flatMap((a) => (a.end ? [...a.p, a.end] : a.p));
  if (!every.length) return h("p.note", {}, "No run has written a line yet.");
  const over = axis === "flops" ? "training FLOPs" : "time";
  const { x, y, axes } = plane(every, [over, "loss (nats)"], axis === "flops" ? power : duration);
  const curve = path<[number, number]>()
    .x((p) => x(p[0]))
    .y((p) => y(p[1]));
  const parts = all.map(({ r, p, end }) => {
    const told = () =>
      `${r.name}: step ${r.step} of ${r.steps}` +
      (p.length ? `, training loss ${exact(p[p.length - 1][1])}` : "") +
      (r.valid_loss === null ? "" : `, held-out loss ${exact(r.valid_loss)}`);
    const d = curve(p) ?? "";
    const css = { stroke: colour(st, r.kind), strokeDasharray: dash(st.asked.scales, r.scale) };
    return s(
      "g",
      { class: r.sweep ? "run tried" : "run", "data-run": r.name },
      p.length ? s("path", { d, fill: "none", css: { ...css, strokeWidth: "1.6px" } }) : null,
      p.length ? pointed(s("path", { d, class: "near" }), told, { name: r.name }, light) : null,
      end
        ? pointed(
            s("path", {
              class: "held",
              d: `M${x(end[0])} ${y(end[1]) - 5}l5 5l-5 5l-5 -5z`,
              css: { fill: colour(st, r.kind) },
            }),
            told,
            { name: r.name },
            light,
          )
        : null,
    );
  });
  return s(
    "svg",
    {
      class: "chart study",
      viewBox: `0 0 ${W} ${H}`,
      role: "img",
      "aria-label": `Loss of every run over ${over}`,
    },
    axes,
    parts,
  );
}

const STEPS = 40;

/** The held-out loss, or the training loss: the mean of the last hundredth of the steps. */
export type Loss = "held" | "train";

/** Loss over parameters: a point a run, a parabola a kind and budget, its lowest point. */
export function sizesChart(
  st: Study,
  which: Loss,
  light: (m: Mark | null) => void,
): HTMLElement | SVGElement {
  const name = which === "held" ? "held-out loss" : "training loss";
  const lossOf = (r: StudyRun) => (which === "held" ? r.valid_loss : r.train_loss);
  const runs = st.runs.filter((r) => !r.sweep && lossOf(r) !== null);
  if (!runs.length) return h("p.note", {}, "No run has ended yet.");
  const points = runs.map((r): [number, number] => [
    r.non_embedding_parameters,
    lossOf(r) as number,
  ]);
  const { x, y, axes } = plane(
    points,
    ["parameters without the embedding", `${name} (nats)`],
    power,
  );
  const [low = 1, high = 1] = extent(points, (p) => p[0]);
  const [least = 0, most = 1] = extent(points, (p) => p[1]);
  const room = (most / least) ** 0.05; // as the axes leave
  const curve = path<[number, number]>()
    .x((p) => x(p[0]))
    .y((p) => y(p[1]));
  const optima = (which === "held" ? st.optima : st.train_optima).map((o) => {
    const mark = { kind: o.kind, budget: o.budget };
    const css = { stroke: colour(st, o.kind), strokeDasharray: dash(st.asked.budgets, o.budget) };
    const told = () =>
      `${o.kind} at ${power(o.budget)} FLOPs: best at ${power(o.non_embedding_parameters)} ` +
      `parameters, loss ${exact(o.loss)}` +
      (o.inside ? "" : " (the lowest measured: no minimum lies between the sizes)");
    const line = (o.parabola ? Array.from({ length: STEPS + 1 }, (_, i) => i) : [])
      .map((i): [number, number] => {
        const t = Math.log(low) + ((Math.log(high) - Math.log(low)) * i) / STEPS;
        const [a, b, c] = o.parabola as number[];
        return [Math.exp(t), a + b * t + c * t * t];
      })
      .filter((p) => p[1] > least / room && p[1] < most * room);
    const [px, py] = [x(o.non_embedding_parameters), y(o.loss)];
    return s(
      "g",
      { class: "optimum", "data-kind": o.kind, "data-budget": o.budget },
      line.length
        ? s("path", {
            class: "parabola",
            d: curve(line) ?? "",
            fill: "none",
            css: { ...css, strokeWidth: "1.6px" },
          })
        : null,
      pointed(
        s("path", {
          class: "best",
          d: `M${px} ${py - 7}l7 7l-7 7l-7 -7z`,
          css: {
            fill: o.inside ? colour(st, o.kind) : "none",
            stroke: colour(st, o.kind),
            strokeWidth: "1.6px",
          },
        }),
        told,
        mark,
        light,
      ),
    );
  });
  const dots = runs.map((r) =>
    s(
      "g",
      { class: "run", "data-run": r.name },
      pointed(
        s("circle", {
          cx: x(r.non_embedding_parameters),
          cy: y(lossOf(r) as number),
          r: 3.5,
          css: { fill: colour(st, r.kind) },
        }),
        () =>
          `${r.name}: ${name} ${exact(lossOf(r))}` +
          (which === "held" ? ` ± ${exact(r.standard_error)}` : ""),
        { name: r.name },
        light,
      ),
    ),
  );
  return s(
    "svg",
    {
      class: "chart study",
      viewBox: `0 0 ${W} ${H}`,
      role: "img",
      "aria-label": `${name[0].toUpperCase()}${name.slice(1)} over parameters, by kind and budget`,
    },
    axes,
    optima,
    dots,
  );
}
