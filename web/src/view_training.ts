// view_training.ts: the run's curves, read on as the run goes.
import { extent } from "d3-array";
import { scaleLinear } from "d3-scale";
import { line as path } from "d3-shape";
import { h, s, tipFor } from "./dom";
import type { Server } from "./api";
import { brief, count, exact } from "./format";
import type { Metrics, Study } from "./types";
import type { View } from "./view";
import * as study from "./view_study";

type Line = Metrics["lines"][number];
interface Log {
  lines: Line[];
  next: number;
}

/** Reads on; true: the log has grown. */
async function more(server: Server, log: Log, signal: AbortSignal): Promise<boolean> {
  const before = log.lines.length;
  for (;;) {
    const m = await server.call("metrics", { from: log.next }, signal);
    log.lines.push(...m.lines);
    log.next = m.next;
    if (!m.more) return log.lines.length > before;
  }
}

const W = 400;
const H = 210;
const L = 48;
const B = 26;
const DRAWN = 1500; // points of a curve
interface Curve {
  name: string;
  key: RegExp;
  colour: string;
  dash?: string;
}

/** At most about DRAWN of the points, the last one among them. */
const thin = (p: [number, number][]) => {
  const k = Math.ceil(p.length / DRAWN);
  return p.filter((_, i) => (p.length - 1 - i) % k === 0);
};
const short = (x: number) =>
  Math.abs(x) >= 1e5 ? x.toExponential(0).replace("+", "") : Number(x.toPrecision(4)).toString();

function chart(lines: Line[], title: string, curves: Curve[]) {
  const series = curves
    .map((c) => ({
      c,
      p: lines.flatMap((l) =>
        Object.entries(l)
          .filter(([k, v]) => c.key.test(k) && v !== null)
          .map(([, v]): [number, number] => [l.step as number, v as number]),
      ),
    }))
    .filter((x) => x.p.length);
  if (!series.length) return null;
  const all = series.flatMap((x) => x.p);
  const [x0 = 0, x1 = 1] = extent(all, (p) => p[0]);
  const [low = 0, high = 1] = extent(all, (p) => p[1]);
  const pad = (high - low || Math.abs(high) || 1) * 0.05;
  const X = scaleLinear()
    .domain([x0, Math.max(x1, x0 + 1)])
    .range([L, W - 12]);
  const Y = scaleLinear()
    .domain([low - pad, high + pad])
    .range([H - B, 10]);
  const curve = path<[number, number]>()
    .x((p) => X(p[0]))
    .y((p) => Y(p[1]));
  const svg = s(
    "svg",
    { class: "chart", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${title} by step` },
    Y.ticks(5)
      .map((v) => [
        s("line", { class: "axis", x1: L, x2: W - 12, y1: Y(v), y2: Y(v) }),
        s("text", { class: "soft", x: L - 7, y: Y(v) + 4, "text-anchor": "end" }, short(v)),
      ])
      .flat(),
    X.ticks(5)
      .filter((v) => Number.isInteger(v))
      .map((v) =>
        s("text", { class: "soft", x: X(v), y: H - 8, "text-anchor": "middle" }, short(v)),
      ),
    series.map(({ c, p }) =>
      s("path", {
        d: curve(thin(p)) ?? "",
        fill: "none",
        css: { stroke: c.colour, strokeWidth: "2px", strokeDasharray: c.dash ?? "" },
      }),
    ),
    series
      .map(({ c, p }) =>
        p.length < 60
          ? p.map(([a, b]) =>
              tipFor(
                s("circle", { cx: X(a), cy: Y(b), r: 3, css: { fill: c.colour } }),
                () => `step ${a}: ${c.name} ${exact(b)}`,
              ),
            )
          : [],
      )
      .flat(),
  );
  return h(
    "div.card",
    {},
    h("h2", {}, title),
    h(
      "div.row",
      {},
      series.map(({ c, p }) =>
        h(
          "span.note",
          { css: { margin: "0" } },
          h("span", {
            css: {
              display: "inline-block",
              width: "18px",
              borderTop: `3px ${c.dash ? "dashed" : "solid"} ${c.colour}`,
              verticalAlign: "middle",
              marginRight: "6px",
            },
          }),
          h("span", { title: exact(p[p.length - 1][1]) }, `${c.name} ${brief(p[p.length - 1][1])}`),
        ),
      ),
    ),
    svg,
  );
}

const blue = "rgb(var(--pos))";
const orange = "rgb(var(--neg))";
function curves(lines: Line[], layers: number) {
  const last = lines[lines.length - 1];
  const colours = [blue, orange, "var(--soft)", "var(--fg)"];
  const usage = Array.from({ length: Math.min(layers, 4) }, (_, l) => ({
    name: `layer ${l}`,
    key: new RegExp(`^usage/l${l}/entropy$`),
    colour: colours[l],
    dash: l > 1 ? "6 3" : undefined,
  }));
  return [
    h(
      "div.card",
      {},
      h("h2", {}, "Training run"),
      h(
        "p.note",
        { id: "run-now" },
        last
          ? `Step ${count(last.step as number)}, ` +
              `${count((last.tokens as number) ?? 0)} tokens. Curves grow as the run ` +
              "goes on."
          : "The run has written no line yet.",
      ),
    ),
    h(
      "div.grid",
      {},
      chart(lines, "Loss", [
        { name: "training", key: /^train\/loss$/, colour: orange },
        { name: "held out", key: /^eval\/loss$/, colour: blue, dash: "6 3" },
      ]),
      chart(lines, "Accuracy", [
        { name: "training", key: /^train\/accuracy$/, colour: orange },
        { name: "held out", key: /^eval\/accuracy$/, colour: blue, dash: "6 3" },
      ]),
      chart(lines, "Use of neurons: entropy, 1 is even", usage),
      chart(lines, "Norm of the gradient", [
        { name: "gradient", key: /^train\/grad_norm$/, colour: blue },
      ]),
      chart(lines, "Learning rate", [{ name: "rate", key: /^train\/lr$/, colour: blue }]),
      chart(lines, "Speed", [
        { name: "tokens a second", key: /^perf\/tokens_per_s$/, colour: blue },
      ]),
    ),
  ];
}

const AGAIN = 2000; // ms between two looks at the log

export const training: View<Log | Study> = {
  name: "training",
  title: "Training run",
  needsPrompt: false,
  about: "the run’s curves, or all runs of a study, growing as they go",
  missing: (info) =>
    info.run || info.study
      ? null
      : "This model was opened from a model directory. Open its run instead, sgatlin " +
        "explore RUN, " +
        "to see its curves.",
  controls: (c) => (c.info.study ? study.controls(c) : []),
  async load(c) {
    if (c.info.study) return study.load(c);
    const log: Log = { lines: [], next: 0 };
    await more(c.server, log, c.signal);
    return log;
  },
  draw(c, data) {
    if ("runs" in data) return study.draw(c, data);
    const log = data;
    const layers = c.info.model.layers;
    const box = h("div", {}, curves(log.lines, layers));
    return {
      body: [box],
      shown() {
        const again = setInterval(async () => {
          if (c.signal.aborted) return clearInterval(again);
          if (document.hidden) return;
          // Where it fails, the next look asks again.
          const grown = await more(c.server, log, c.signal).catch(() => false);
          if (grown && !c.signal.aborted) box.replaceChildren(...curves(log.lines, layers));
        }, AGAIN);
      },
    };
  },
};
