// layer_chart.ts: curves over the layers of a model, with a legend and their numbers under the
// pointer.
import { extent } from "d3-array";
import { scaleLinear } from "d3-scale";
import { line as path } from "d3-shape";
import { h, s, tipFor } from "./dom";
import { exact } from "./format";

const W = 560;
const H = 260;
const LEFT = 52;
const BOTTOM = 30;
const colours = ["#1f77b4", "#d95f02", "#1b9e77", "#8e44ad", "#b8322a", "#7a7a7a"];

export interface LayerCurve {
  name: string;
  values: (number | null)[]; // a number a layer; null: none
  dashed?: boolean; // a control
}

type Point = [number, number];
const points = (c: LayerCurve): Point[] =>
  c.values.flatMap((v, l): Point[] => (v === null ? [] : [[l, v]]));

function mark(c: LayerCurve, colour: string) {
  return h("span", {
    css: {
      display: "inline-block",
      width: "18px",
      borderTop: `3px ${c.dashed ? "dashed" : "solid"} ${colour}`,
      verticalAlign: "middle",
      marginRight: "6px",
    },
  });
}

/** The picture and, above it, what its colours mean. */
export function layerChart(label: string, unit: string, curves: LayerCurve[]) {
  const layers = curves.reduce((n, c) => Math.max(n, c.values.length), 1);
  const all = curves.flatMap(points);
  const [low = 0, high = 1] = extent(all, (p) => p[1]);
  const pad = (high - low || 1) * 0.06;
  const X = scaleLinear()
    .domain([0, Math.max(1, layers - 1)])
    .range([LEFT, W - 14]);
  const Y = scaleLinear()
    .domain([low - pad, high + pad])
    .range([H - BOTTOM, 10]);
  const curve = path<Point>()
    .x((p) => X(p[0]))
    .y((p) => Y(p[1]));
  const grid = Y.ticks(5).map((v) => [
    s("line", { class: "axis", x1: LEFT, x2: W - 14, y1: Y(v), y2: Y(v) }),
    s("text", { class: "soft", x: LEFT - 7, y: Y(v) + 4, "text-anchor": "end" }, String(v)),
  ]);
  const step = Math.ceil(layers / 12);
  const names = Array.from({ length: layers }, (_, l) => l)
    .filter((l) => l % step === 0)
    .map((l) => s("text", { class: "soft", x: X(l), y: H - 9, "text-anchor": "middle" }, l));
  const drawn = curves.map((c, i) => {
    const colour = colours[i % colours.length];
    const style = { stroke: colour, strokeWidth: "2px", strokeDasharray: c.dashed ? "5 4" : "" };
    return [
      s("path", { d: curve(points(c)) ?? "", fill: "none", css: style }),
      ...points(c).map((p) =>
        tipFor(
          s("circle", { cx: X(p[0]), cy: Y(p[1]), r: 4, css: { fill: colour } }),
          () => `${c.name}, layer ${p[0]}: ${exact(p[1])} ${unit}`,
        ),
      ),
    ];
  });
  return [
    h(
      "div.row",
      {},
      curves.map((c, i) =>
        h("span.note", { css: { margin: "0" } }, mark(c, colours[i % colours.length]), c.name),
      ),
    ),
    s(
      "svg",
      { class: "chart layers", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": label },
      grid.flat(),
      names,
      drawn.flat(),
    ),
  ];
}
