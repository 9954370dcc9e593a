// graph_eye.ts: what of a drawing is seen: wheel and pinch zoom, a drag on the ground moves, a drag
// on a node moves the node. The drawing's own coordinates stay; the eye is its viewBox.
export interface Eye {
  x: number; // of the left edge
  y: number; // of the top
  zoom: number; // 1: all of it
}
export interface Moves {
  /** The eye has moved: labels are laid out anew. */
  seen: (e: Eye) => void;
  /** A node follows the pointer; done: it was let go. */
  drag: (i: number, x: number, y: number, done: boolean) => void;
}
const MOST = 12;
const SLOP = 4; // pixels that are still a click

export class GraphEye {
  private eye: Eye = { x: 0, y: 0, zoom: 1 };
  private pointers = new Map<number, { x: number; y: number }>();
  private held: { i: number; moved: boolean } | null = null;

  constructor(
    private svg: SVGSVGElement,
    private width: number,
    private height: number,
    private on: Moves,
  ) {
    svg.addEventListener("wheel", (e) => this.wheel(e), { passive: false });
    svg.addEventListener("pointerdown", (e) => this.down(e));
    svg.addEventListener("pointermove", (e) => this.move(e));
    for (const k of ["pointerup", "pointercancel"] as const)
      svg.addEventListener(k, (e) => this.up(e));
    // A drag that ends on a node is no click on it.
    svg.addEventListener("click", (e) => this.click(e), { capture: true });
    this.look(this.eye);
  }

  fit() {
    this.look({ x: 0, y: 0, zoom: 1 });
  }
  zoom(by: number, at?: { x: number; y: number }) {
    const zoom = Math.max(1, Math.min(MOST, this.eye.zoom * by));
    const p = at ?? {
      x: this.eye.x + this.width / this.eye.zoom / 2,
      y: this.eye.y + this.height / this.eye.zoom / 2,
    };
    const k = this.eye.zoom / zoom;
    this.look({ x: p.x + (this.eye.x - p.x) * k, y: p.y + (this.eye.y - p.y) * k, zoom });
  }

  private look(e: Eye) {
    const w = this.width / e.zoom;
    const h = this.height / e.zoom;
    this.eye = {
      x: Math.max(0, Math.min(this.width - w, e.x)),
      y: Math.max(0, Math.min(this.height - h, e.y)),
      zoom: e.zoom,
    };
    this.svg.setAttribute("viewBox", `${this.eye.x} ${this.eye.y} ${w} ${h}`);
    this.on.seen(this.eye);
  }
  /** Of the drawing, under a point of the screen. */
  private world(e: { clientX: number; clientY: number }) {
    const m = this.svg.getScreenCTM();
    if (!m) return { x: 0, y: 0 };
    return { x: (e.clientX - m.e) / m.a, y: (e.clientY - m.f) / m.d };
  }
  private wheel(e: WheelEvent) {
    // the page scrolls
    if (!e.ctrlKey && !e.shiftKey && this.eye.zoom === 1 && e.deltaY > 0) return;
    e.preventDefault();
    this.zoom(Math.exp(-Math.max(-100, Math.min(100, e.deltaY)) / 250), this.world(e));
  }
  private down(e: PointerEvent) {
    const node = (e.target as Element).closest<SVGElement>("[data-i]");
    this.pointers.set(e.pointerId, { x: e.clientX, y: e.clientY });
    this.held = { i: node && !e.shiftKey ? Number(node.dataset.i) : -1, moved: false };
  }
  private move(e: PointerEvent) {
    const was = this.pointers.get(e.pointerId);
    if (!was || !this.held) return;
    const far = Math.hypot(e.clientX - was.x, e.clientY - was.y);
    if (!this.held.moved && far < SLOP) return;
    if (!this.held.moved) this.svg.setPointerCapture(e.pointerId);
    this.held.moved = true;
    const to = this.world(e);
    if (this.pointers.size > 1) this.pinch(e);
    else if (this.held.i >= 0) this.on.drag(this.held.i, to.x, to.y, false);
    else {
      const from = this.world({ clientX: was.x, clientY: was.y });
      this.look({ ...this.eye, x: this.eye.x + from.x - to.x, y: this.eye.y + from.y - to.y });
    }
    this.pointers.set(e.pointerId, { x: e.clientX, y: e.clientY });
  }
  private pinch(e: PointerEvent) {
    const other = [...this.pointers].find(([id]) => id !== e.pointerId)?.[1];
    const was = this.pointers.get(e.pointerId);
    if (!other || !was) return;
    const before = Math.hypot(was.x - other.x, was.y - other.y) || 1;
    const now = Math.hypot(e.clientX - other.x, e.clientY - other.y);
    const middle = { clientX: (e.clientX + other.x) / 2, clientY: (e.clientY + other.y) / 2 };
    this.zoom(now / before, this.world(middle));
  }
  private up(e: PointerEvent) {
    this.pointers.delete(e.pointerId);
    const held = this.held;
    if (!held || this.pointers.size) return;
    if (!held.moved) this.held = null;
    else if (held.i >= 0) {
      const to = this.world(e);
      this.on.drag(held.i, to.x, to.y, true);
    }
  }
  private click(e: Event) {
    if (!this.held?.moved) return;
    this.held = null;
    e.stopPropagation();
  }
}
