// map_canvas.ts: many points on a canvas: drawn pixel by pixel into an image, which holds 60 frames
// a second without a graphics card; pan, zoom,
// lasso, the point under the pointer.
import { h } from "./dom";

export interface Points {
  n: number;
  x: Float32Array; // 0 to 1, whole picture
  y: Float32Array; // 0 is the top
  colour: Uint32Array; // as ImageData holds them
  under: number; // the colour that the others lie on
}
export interface Eye {
  x: number;
  y: number;
  zoom: number;
} // middle of what is seen; zoom 1: all of it
export interface Pin {
  i: number;
  text: string;
  on: boolean;
} // a ring around a point, with words
export type Polygon = [number, number][];
export interface Handlers {
  eye: (e: Eye) => void; // moved
  lasso: (p: Polygon) => void;
  hover: (i: number, at: HTMLElement) => void; // -1: none
  click: (i: number) => void;
}

export const pack = (css: string) => {
  const v = parseInt(css.slice(1), 16);
  return (0xff000000 | ((v & 255) << 16) | (v & 0xff00) | (v >> 16)) >>> 0;
};
const REACH = 12; // pixels from a point that still count as pointing at it

/** Offsets of the pixels of a disc in an image of width w. */
function disc(radius: number, w: number) {
  const out: number[] = [];
  const r = Math.ceil(radius);
  for (let y = -r; y <= r; y++)
    for (let x = -r; x <= r; x++) if (x * x + y * y <= radius * radius) out.push(y * w + x);
  return { at: Int32Array.from(out), r };
}

export class MapCanvas {
  readonly el: HTMLElement;
  readonly canvas = h("canvas", {
    tabindex: 0,
    role: "application",
    "aria-label": "map of circuits: arrows move, plus and minus zoom, 0 shows all",
  }) as HTMLCanvasElement;
  lassoing = false; // drags draw a lasso without shift, too
  private dot = h("div.map-dot", { hidden: true });
  private marked: Uint8Array | null = null;
  private pinned: Pin[] = [];
  private pen: Polygon = [];
  private image: ImageData | null = null;
  private pixels = new Uint32Array(0);
  private waiting = false;
  private pointers = new Map<number, { x: number; y: number }>();
  private moved = 0;

  constructor(
    private p: Points,
    private eye: Eye,
    private polygon: Polygon,
    private on: Handlers,
    private faint: number,
    signal: AbortSignal,
  ) {
    this.el = h("div.map", {}, this.canvas, this.dot);
    const c = this.canvas;
    const size = new ResizeObserver(() => this.resize());
    size.observe(c);
    signal.addEventListener("abort", () => size.disconnect());
    c.addEventListener(
      "wheel",
      (e) => {
        e.preventDefault();
        this.zoom(Math.exp(-Math.max(-100, Math.min(100, e.deltaY)) / 250), ...this.local(e));
      },
      { passive: false },
    );
    c.addEventListener("pointerdown", (e) => this.down(e));
    c.addEventListener("pointermove", (e) => this.move(e));
    for (const k of ["pointerup", "pointercancel"] as const)
      c.addEventListener(k, (e) => this.up(e));
    c.addEventListener("pointerleave", () => this.hover(-1));
    c.addEventListener("keydown", (e) => this.key(e));
  }

  /** Points that stand out, the others faint; null: all alike. */
  mark(marked: Uint8Array | null) {
    this.marked = marked;
    this.draw();
  }
  pin(pins: Pin[]) {
    this.pinned = pins;
    this.draw();
  }
  select(polygon: Polygon) {
    this.polygon = polygon;
    this.draw();
  }
  view(): Polygon {
    const [x0, y0] = this.world(0, 0);
    const [x1, y1] = this.world(this.canvas.clientWidth, this.canvas.clientHeight);
    return [
      [x0, y0],
      [x1, y0],
      [x1, y1],
      [x0, y1],
    ];
  }
  zoom(by: number, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const [wx, wy] = this.world(x, y);
    const zoom = Math.max(0.5, Math.min(400, this.eye.zoom * by));
    const k = this.eye.zoom / zoom;
    this.look({ x: wx + (this.eye.x - wx) * k, y: wy + (this.eye.y - wy) * k, zoom });
  }
  look(e: Eye) {
    this.eye = {
      x: Math.max(-0.5, Math.min(1.5, e.x)),
      y: Math.max(-0.5, Math.min(1.5, e.y)),
      zoom: e.zoom,
    };
    this.hover(-1);
    this.draw();
    this.on.eye(this.eye);
  }

  /** CSS pixels a unit of the picture. */
  private unit() {
    return this.eye.zoom * 0.94 * Math.min(this.canvas.clientWidth, this.canvas.clientHeight);
  }
  private world(x: number, y: number): [number, number] {
    const u = this.unit();
    return [
      this.eye.x + (x - this.canvas.clientWidth / 2) / u,
      this.eye.y + (y - this.canvas.clientHeight / 2) / u,
    ];
  }
  private screen(x: number, y: number): [number, number] {
    const u = this.unit();
    return [
      (x - this.eye.x) * u + this.canvas.clientWidth / 2,
      (y - this.eye.y) * u + this.canvas.clientHeight / 2,
    ];
  }
  private local(e: MouseEvent): [number, number] {
    const r = this.canvas.getBoundingClientRect();
    return [e.clientX - r.left, e.clientY - r.top];
  }

  private resize() {
    const k = Math.min(2, devicePixelRatio);
    const w = Math.max(1, Math.round(this.canvas.clientWidth * k));
    const hh = Math.max(1, Math.round(this.canvas.clientHeight * k));
    if (this.image && this.canvas.width === w && this.canvas.height === hh) return;
    this.canvas.width = w;
    this.canvas.height = hh;
    this.image = new ImageData(w, hh);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.paint();
  }
  private draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.paint();
    });
  }
  private paint() {
    const g = this.canvas.getContext("2d");
    if (!this.image || !g || !this.canvas.clientWidth) return; // the view may have gone
    const started = performance.now();
    const k = this.canvas.width / this.canvas.clientWidth;
    this.pixels.fill(0);
    const radius =
      k *
      Math.min(
        5,
        (this.p.n > 20000 ? 1.1 : this.p.n > 4000 ? 2 : 2.4) *
          Math.sqrt(Math.max(1, this.eye.zoom)),
      );
    if (this.marked) this.dots(radius * 0.8, 0);
    for (const under of [true, false]) this.dots(this.marked ? radius + k : radius, 1, under);
    g.putImageData(this.image, 0, 0);
    this.outline(g, k);
    this.rings(g, k);
    this.canvas.dataset.draw = (performance.now() - started).toFixed(2);
  }
  /** which 0: the faint ones; 1: those that stand out. */
  private dots(radius: number, which: number, under?: boolean) {
    const { n, x, y, colour, under: back } = this.p;
    const px = this.pixels;
    const w = this.canvas.width;
    const hh = this.canvas.height;
    const d = disc(radius, w);
    const marked = this.marked;
    const at = d.at;
    const m = at.length;
    const u = this.unit() * (w / this.canvas.clientWidth);
    const ox = w / 2 - this.eye.x * u;
    const oy = hh / 2 - this.eye.y * u;
    for (let i = 0; i < n; i++) {
      if (
        (marked && marked[i] !== which) ||
        (under !== undefined && (colour[i] === back) !== under)
      )
        continue;
      const cx = (ox + x[i] * u) | 0;
      const cy = (oy + y[i] * u) | 0;
      if (cx < d.r || cy < d.r || cx >= w - d.r || cy >= hh - d.r) continue;
      const c = marked && !which ? this.faint : colour[i];
      const middle = cy * w + cx;
      for (let j = 0; j < m; j++) px[middle + at[j]] = c;
    }
  }
  private rings(g: CanvasRenderingContext2D, k: number) {
    const style = getComputedStyle(this.canvas);
    const taken: [number, number, number][] = [];
    g.setLineDash([]);
    g.font = `${11 * k}px ${style.fontFamily}`;
    for (const { i, text, on } of [...this.pinned].sort((a, b) => Number(b.on) - Number(a.on))) {
      const [x, y] = this.screen(this.p.x[i], this.p.y[i]).map((v) => v * k);
      g.lineWidth = (on ? 3 : 1.6) * k;
      g.strokeStyle = style.color;
      g.beginPath();
      g.arc(x, y, (on ? 8 : 5.5) * k, 0, 2 * Math.PI);
      g.stroke();
      const w = g.measureText(text).width;
      // words do not lie on words
      if (taken.some(([a, b, c]) => Math.abs(b - y) < 12 * k && x < a + c && a < x + w)) continue;
      taken.push([x, y, w]);
      g.lineWidth = 3 * k;
      g.strokeStyle = getComputedStyle(document.body).backgroundColor;
      g.strokeText(text, x + 10 * k, y + 4 * k);
      g.fillStyle = style.color;
      g.fillText(text, x + 10 * k, y + 4 * k);
    }
  }
  private outline(g: CanvasRenderingContext2D, k: number) {
    const line = this.pen.length ? this.pen : this.polygon;
    if (line.length < 2) return;
    g.beginPath();
    line.forEach(([x, y], i) => {
      const [a, b] = this.screen(x, y);
      if (i) g.lineTo(a * k, b * k);
      else g.moveTo(a * k, b * k);
    });
    g.closePath();
    g.lineWidth = 1.5 * k;
    g.strokeStyle = getComputedStyle(this.canvas).color;
    g.setLineDash([5 * k, 4 * k]);
    g.stroke();
  }

  nearest(x: number, y: number) {
    const [wx, wy] = this.world(x, y);
    const reach = REACH / this.unit();
    let best = -1;
    let far = reach * reach;
    for (let i = 0; i < this.p.n; i++) {
      const dx = this.p.x[i] - wx;
      const dy = this.p.y[i] - wy;
      const d = dx * dx + dy * dy;
      if (d < far) {
        far = d;
        best = i;
      }
    }
    return best;
  }
  private hover(i: number) {
    this.dot.hidden = i < 0;
    if (i >= 0) {
      const [x, y] = this.screen(this.p.x[i], this.p.y[i]);
      Object.assign(this.dot.style, { left: `${x}px`, top: `${y}px` });
    }
    this.on.hover(i, this.dot);
  }

  private down(e: PointerEvent) {
    const [x, y] = this.local(e);
    try {
      this.canvas.setPointerCapture(e.pointerId);
    } catch {
      /* the pointer has gone */
    }
    this.pointers.set(e.pointerId, { x, y });
    this.moved = this.pointers.size > 1 ? 99 : 0;
    this.pen = this.pointers.size === 1 && (e.shiftKey || this.lassoing) ? [this.world(x, y)] : [];
    this.hover(-1);
  }
  private move(e: PointerEvent) {
    const [x, y] = this.local(e);
    const was = this.pointers.get(e.pointerId);
    if (!was) {
      if (e.pointerType !== "touch") this.hover(this.nearest(x, y));
      return;
    }
    this.moved += Math.abs(x - was.x) + Math.abs(y - was.y);
    if (this.pen.length) {
      this.pen.push(this.world(x, y));
      this.draw();
    } else if (this.pointers.size === 1) {
      const u = this.unit();
      this.look({
        x: this.eye.x - (x - was.x) / u,
        y: this.eye.y - (y - was.y) / u,
        zoom: this.eye.zoom,
      });
    } else if (this.pointers.size === 2) {
      const other = [...this.pointers].find(([id]) => id !== e.pointerId)?.[1] ?? was;
      const before = Math.hypot(was.x - other.x, was.y - other.y);
      const now = Math.hypot(x - other.x, y - other.y);
      if (before > 0) this.zoom(now / before, (x + other.x) / 2, (y + other.y) / 2);
    }
    this.pointers.set(e.pointerId, { x, y });
  }
  private up(e: PointerEvent) {
    const there = this.pointers.delete(e.pointerId);
    const [x, y] = this.local(e);
    if (!there) return;
    if (this.pen.length) {
      const step = Math.max(1, Math.ceil(this.pen.length / 48));
      const p = this.pen.filter((_, i) => i % step === 0);
      this.pen = [];
      if (p.length > 2) this.on.lasso(p);
      else this.draw();
    } else if (this.moved < 4 && e.type === "pointerup") {
      const i = this.nearest(x, y);
      if (i >= 0) this.on.click(i);
    }
  }
  private key(e: KeyboardEvent) {
    if (e.ctrlKey || e.metaKey || e.altKey || !this.press(e.key)) return;
    e.preventDefault();
    e.stopPropagation();
  }
  /** True: the key moves the map. */
  press(key: string): boolean {
    const step = 60 / this.unit();
    const { x, y, zoom } = this.eye;
    if (key === "+" || key === "=") this.zoom(1.25);
    else if (key === "-") this.zoom(0.8);
    else if (key === "0") this.look({ x: 0.5, y: 0.5, zoom: 1 });
    else if (key === "ArrowLeft") this.look({ x: x - step, y, zoom });
    else if (key === "ArrowRight") this.look({ x: x + step, y, zoom });
    else if (key === "ArrowUp") this.look({ x, y: y - step, zoom });
    else if (key === "ArrowDown") this.look({ x, y: y + step, zoom });
    else return false;
    return true;
  }
}
