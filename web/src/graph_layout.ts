// graph_layout.ts: where nodes and their labels stand. Positions of the prompt are columns that
// share the width by how much stands in them, layers are rows; a node that was dragged stays put.
import { acts } from "./graph_groups";
import type { Shape } from "./graph_groups";
import { max } from "./format";
import type { Node } from "./types";

export interface Place {
  x: number;
  y: number;
  r: number;
}
export interface Layout {
  at: Place[];
  height: number;
  columns: Map<number, number>;
  layers: number;
}
export const WIDTH = 980;
export const ROW = 74;
export const FOOT = 70;
const LEFT = 62;
const LINE = 14; // nodes of one place side by side, before a second line begins

export const amount = (n: Node) => n.influence ?? 1 - (n.cumulative ?? 1);
export const many = (n: Shape) => n.members.length > 1;

/** "id:x,y;..." of the address: nodes that were dragged. */
export function readPlaces(text: string): Map<string, [number, number]> {
  const found = new Map<string, [number, number]>();
  for (const part of text.split(";")) {
    const m = /^(.+):(-?[\d.]+),(-?[\d.]+)$/.exec(part);
    if (m && found.size < 500) found.set(m[1], [Number(m[2]), Number(m[3])]);
  }
  return found;
}
export const writePlaces = (places: Map<string, [number, number]>) =>
  [...places].map(([id, [x, y]]) => `${id}:${x.toFixed(1)},${y.toFixed(1)}`).join(";");

/** Nodes by layer and position. */
function cells(list: Shape[]) {
  const found = new Map<string, number[]>();
  list.forEach((n, i) => {
    const key = `${n.layer} ${n.position}`;
    const cell = found.get(key);
    if (cell) cell.push(i);
    else found.set(key, [i]);
  });
  return found;
}

/** Middle and width of each position that has nodes. */
function spread(list: Shape[], of: Map<string, number[]>) {
  const used = [...new Set(list.map((n) => n.position))].sort((a, b) => a - b);
  const outputs = (p: number) => list.filter((n) => n.kind === "logit" && n.position === p).length;
  const most = new Map<number, number>();
  for (const [key, cell] of of) {
    const p = Number(key.split(" ")[1]);
    most.set(p, Math.max(most.get(p) ?? 0, Math.min(cell.length, LINE)));
  }
  const weight = used.map((p) => Math.max(most.get(p) ?? 0, 3.2 * outputs(p), 1.4));
  const all = weight.reduce((a, x) => a + x, 0);
  const columns = new Map<number, { middle: number; width: number }>();
  let x = LEFT;
  used.forEach((p, i) => {
    const width = ((WIDTH - LEFT - 10) * weight[i]) / all;
    columns.set(p, { middle: x + width / 2, width });
    x += width;
  });
  return columns;
}

function radius(n: Shape, most: number) {
  if (acts(n) || n.kind === "error") return 3 + 4.5 * Math.sqrt(Math.max(0, amount(n)) / most);
  return n.kind === "bias" ? 3 : 7;
}

export function layout(list: Shape[], moved: Map<string, [number, number]>): Layout {
  const of = cells(list);
  const columns = spread(list, of);
  const layers = list.reduce((m, n) => Math.max(m, n.kind === "logit" ? n.layer : n.layer + 1), 1);
  const height = (layers + 2) * ROW + FOOT;
  const most = Math.max(1e-12, max(list.filter((n) => acts(n) || n.kind === "error").map(amount)));
  const at: Place[] = [];
  for (const [key, cell] of of) {
    const [layer, p] = key.split(" ").map(Number);
    const column = columns.get(p) ?? { middle: 0, width: 10 };
    const lines = Math.ceil(cell.length / LINE);
    cell.forEach((i, k) => {
      const line = Math.floor(k / LINE);
      const inLine = Math.min(LINE, cell.length - LINE * line);
      const room = list[i].kind === "logit" ? 64 : 17;
      const step = Math.min(room, (column.width * 0.86) / inLine);
      const own = moved.get(list[i].id);
      at[i] = {
        x: own?.[0] ?? column.middle + ((k % LINE) - (inLine - 1) / 2) * step,
        y: own?.[1] ?? height - FOOT - (layer + 1.5) * ROW + (line - (lines - 1) / 2) * 12,
        r: radius(list[i], most),
      };
    });
  }
  const middles = new Map([...columns].map(([p, c]): [number, number] => [p, c.middle]));
  return { at, height, columns: middles, layers };
}

interface Box {
  x0: number;
  x1: number;
  y0: number;
  y1: number;
}
const LETTER = 0.56; // of the font's size, a letter's mean width

/**
 * Where labels are looked for, in radii and sizes above (-) and below the node: near, then past a
 * second line of nodes.
 */
const AROUND = [
  [-1, -0.45],
  [1, 1.1],
  [-1, -1.6],
  [1, 2.2],
];

const meet = (a: Box, b: Box) => a.x0 < b.x1 && b.x0 < a.x1 && a.y0 < b.y1 && b.y0 < a.y1;
const CROWDED = 120; // labels in a row that found no place: nor will weaker ones, and it takes time
const BAND = 24; // of the drawing's height

/** Whether a box lies on a node; of thousands of nodes only those of its bands are asked. */
function covered(at: Place[]) {
  const bands = new Map<number, Box[]>();
  const of = (b: Box) => [Math.floor(b.y0 / BAND), Math.floor(b.y1 / BAND)];
  for (const p of at) {
    const b = { x0: p.x - p.r, x1: p.x + p.r, y0: p.y - p.r, y1: p.y + p.r };
    const [first, last] = of(b);
    for (let k = first; k <= last; k++) {
      const band = bands.get(k);
      if (band) band.push(b);
      else bands.set(k, [b]);
    }
  }
  return (b: Box) => {
    const [first, last] = of(b);
    for (let k = first; k <= last; k++) if (bands.get(k)?.some((o) => meet(b, o))) return true;
    return false;
  };
}

/**
 * Labels that fit without touching another: names of the reader's always, then the most influential
 * first, above the node or below, where they cover no node. None leaves the picture. At a zoom of k
 * letters have 1/k of their size, so more fit.
 */
export function place(
  list: Shape[],
  text: (i: number) => string,
  at: Place[],
  zoom: number,
  first: number,
): { i: number; x: number; y: number; text: string }[] {
  const size = 11 / zoom;
  const must = (i: number) => list[i].label !== undefined || i === first;
  const rank = (i: number) => (must(i) ? 1e9 : 0) + amount(list[i]);
  const order = list
    .map((_, i) => i)
    .filter((i) => text(i))
    .sort((a, b) => rank(b) - rank(a));
  const covers = covered(at);
  const taken: Box[] = [];
  let crowded = 0;
  const out: { i: number; x: number; y: number; text: string }[] = [];
  for (const i of order) {
    const t = text(i);
    const half = (t.length * LETTER * size) / 2 + 2 / zoom;
    const x = Math.max(half, Math.min(WIDTH - half, at[i].x));
    const boxes = AROUND.map(([r, k]) => {
      const y = at[i].y + r * at[i].r + k * size;
      return { x0: x - half, x1: x + half, y0: y - size, y1: y + 0.2 * size, y };
    });
    const clear = boxes.find((b) => !taken.some((o) => meet(b, o)) && !covers(b));
    const best = clear ?? (must(i) ? boxes[0] : undefined);
    if (!best) {
      if (++crowded > CROWDED) break;
      continue;
    }
    crowded = 0;
    taken.push(best);
    out.push({ i, x, y: best.y, text: t });
    if (out.length >= 400) break;
  }
  return out;
}
