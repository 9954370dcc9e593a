// pair_chart.ts: pairs of neurons as dots: their interaction over that of a matched pair, on
// logarithmic axes that are the same, so that the diagonal stands for "no more than matched".
import { extent } from "d3-array";
import { scaleLog } from "d3-scale";
import { s, tipFor } from "./dom";
import { decades } from "./log_axes";
import type { SuperPair } from "./types";

const W = 480;
const H = 440;
const L = 54;
const B = 42;

export interface Dot {
  id: string;
  x: number;
  y: number;
  signed: number | null;
  told: string;
}

/** Both numbers have a place on a logarithmic axis. */
export const drawable = (p: SuperPair) => (p.score ?? 0) > 0 && (p.null ?? 0) > 0;

const shown = (v: number) => String(Number(v.toPrecision(2)));

/**
 * A click on a dot chooses its pair; colour: above 0 either neuron suffices, below both are needed.
 */
export function pairChart(label: string, dots: Dot[], choose: (id: string) => void) {
  const [low = 0.1, high = 1] = extent(dots.flatMap((d) => [d.x, d.y]));
  const room = high > low ? (high / low) ** 0.04 : 1.5;
  const ends = [low / room, high * room];
  const x = scaleLog()
    .domain(ends)
    .range([L, W - 10]);
  const y = scaleLog()
    .domain(ends)
    .range([H - B, 8]);
  const ticks = decades(ends[0], ends[1]);
  const axes = ticks.flatMap((v) => [
    s("line", { class: "axis", x1: L, x2: W - 10, y1: y(v), y2: y(v) }),
    s("line", { class: "axis", x1: x(v), x2: x(v), y1: 8, y2: H - B }),
    s("text", { class: "soft", x: L - 6, y: y(v) + 4, "text-anchor": "end" }, shown(v)),
    s("text", { class: "soft", x: x(v), y: H - B + 16, "text-anchor": "middle" }, shown(v)),
  ]);
  const circle = (d: Dot) =>
    tipFor(
      s("circle", {
        class: (d.signed ?? 0) < 0 ? "needed" : "suffices",
        cx: x(d.x),
        cy: y(d.y),
        r: 4.5,
        "data-pair": d.id,
        onclick: () => choose(d.id),
      }),
      () => d.told,
    );
  return s(
    "svg",
    { class: "chart pair-chart", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": label },
    axes,
    s("line", {
      class: "diagonal",
      x1: x(ends[0]),
      y1: y(ends[0]),
      x2: x(ends[1]),
      y2: y(ends[1]),
    }),
    s("text", { class: "soft", x: (L + W) / 2, y: H - 7, "text-anchor": "middle" }, "matched null"),
    s(
      "text",
      {
        class: "soft",
        x: 12,
        y: (H - B) / 2,
        "text-anchor": "middle",
        transform: `rotate(-90 12 ${(H - B) / 2})`,
      },
      "score of the pair",
    ),
    dots.map(circle),
  );
}
