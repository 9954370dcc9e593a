// svg.ts: what the page shows, as one SVG: drawings are copied, pictures embedded, text and boxes
// become text and rects where they stand.
import { by, s } from "./dom";

interface Colour {
  rgb: string;
  alpha: number;
}
/**
 * Computed colours are rgb(), rgba() or color(srgb ...); SVG programs outside browsers know neither
 * alpha in them nor color().
 */
function colour(text: string): Colour {
  const n = (text.match(/-?[\d.]+(e-?\d+)?/g) ?? []).map(Number);
  const unit = text.startsWith("color(") ? 255 : 1;
  return n.length < 3
    ? { rgb: "none", alpha: 0 }
    : {
        rgb: `rgb(${n
          .slice(0, 3)
          .map((x) => Math.round(x * unit))
          .join(",")})`,
        alpha: n[3] ?? 1,
      };
}
const px = (x: number) => String(Math.round(x * 100) / 100);
interface Origin {
  x: number;
  y: number;
  out: SVGElement;
  measure: CanvasRenderingContext2D; // of text
}

function box(el: Element, style: CSSStyleDeclaration, r: DOMRect, o: Origin) {
  const fill = colour(style.backgroundColor);
  const edge = colour(style.borderTopColor);
  const width = parseFloat(style.borderTopWidth);
  const outline = style.boxShadow !== "none" && el.getAttribute("aria-pressed") === "true";
  const under = colour(style.borderBottomColor);
  const line = parseFloat(style.borderBottomWidth);
  if (!fill.alpha && !(width && edge.alpha) && !outline) {
    if (line && under.alpha)
      o.out.append(
        s("line", {
          x1: px(r.left - o.x),
          x2: px(r.right - o.x),
          y1: px(r.bottom - o.y),
          y2: px(r.bottom - o.y),
          stroke: under.rgb,
          "stroke-opacity": under.alpha,
        }),
      );
    return;
  }
  const stroke = outline ? colour(style.color) : edge;
  o.out.append(
    s("rect", {
      x: px(r.left - o.x),
      y: px(r.top - o.y),
      width: px(r.width),
      height: px(r.height),
      rx: px(Math.min(parseFloat(style.borderTopLeftRadius) || 0, r.height / 2)),
      fill: fill.rgb === "none" || !fill.alpha ? "none" : fill.rgb,
      "fill-opacity": fill.alpha,
      ...(outline || (width && edge.alpha)
        ? {
            stroke: stroke.rgb,
            "stroke-opacity": stroke.alpha,
            "stroke-width": outline ? 1.5 : width,
          }
        : {}),
    }),
  );
}

/** Lines of a text node: characters with the same top. */
function lines(node: Text): { text: string; r: DOMRect }[] {
  const range = document.createRange();
  const all = node.data;
  range.selectNodeContents(node);
  const rects = [...range.getClientRects()].filter((r) => r.width > 0);
  if (rects.length <= 1) return rects.map((r) => ({ text: all, r }));
  const found: { text: string; r: DOMRect }[] = [];
  for (let i = 0; i < all.length;) {
    const n = (all.codePointAt(i) as number) > 0xffff ? 2 : 1;
    range.setStart(node, i);
    range.setEnd(node, i + n);
    const r = range.getBoundingClientRect();
    const last = found[found.length - 1];
    if (r.width > 0 && last && Math.abs(last.r.top - r.top) < 2) {
      last.text += all.slice(i, i + n);
      last.r = new DOMRect(last.r.left, last.r.top, r.right - last.r.left, last.r.height);
    } else if (r.width > 0) found.push({ text: all.slice(i, i + n), r });
    i += n;
  }
  return found;
}

function words(node: Text, o: Origin) {
  const { measure } = o;
  const parent = node.parentElement as HTMLElement;
  const style = getComputedStyle(parent);
  measure.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
  const m = measure.measureText("x");
  const fill = colour(style.color);
  for (const { text, r } of lines(node)) {
    const spaced = style.whiteSpace.startsWith("pre") ? text : text.replace(/\s+/g, " ");
    const off = (t: string) => Math.abs(measure.measureText(t).width - r.width);
    const shown = [spaced, spaced.trim(), spaced.trimStart(), spaced.trimEnd()].reduce((a, b) =>
      off(b) < off(a) ? b : a,
    ); // spaces at a line's ends are there or not
    if (!shown.trim()) continue;
    const base =
      r.top +
      (r.height - m.fontBoundingBoxAscent - m.fontBoundingBoxDescent) / 2 +
      m.fontBoundingBoxAscent;
    o.out.append(
      s(
        "text",
        {
          x: px(r.left - o.x),
          y: px(base - o.y),
          fill: fill.rgb,
          "font-size": style.fontSize,
          "font-family": style.fontFamily,
          "font-weight": style.fontWeight,
          "xml:space": "preserve",
        },
        shown,
      ),
    );
  }
}

const KEPT = [
  "fill",
  "stroke",
  "stroke-width",
  "stroke-dasharray",
  "opacity",
  "font-size",
  "font-family",
  "text-anchor",
];
const NOT_IN_XML = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;

/** A drawing with the styles it has on the page written into it. */
function drawing(el: SVGSVGElement, r: DOMRect, o: Origin) {
  const copy = el.cloneNode(true) as SVGSVGElement;
  const from = [el, ...el.querySelectorAll("*")];
  const to = [copy, ...copy.querySelectorAll("*")];
  from.forEach((a, i) => {
    const style = getComputedStyle(a);
    const b = to[i];
    for (const name of ["class", "style", "tabindex", "role", "aria-label", "data-i"])
      b.removeAttribute(name);
    for (const k of KEPT) {
      const v = style.getPropertyValue(k);
      const c = k === "fill" || k === "stroke" ? colour(v) : null;
      if (c) {
        b.setAttribute(k, c.rgb);
        if (c.alpha < 1 && c.rgb !== "none") b.setAttribute(`${k}-opacity`, String(c.alpha));
      } else if (
        v &&
        v !== "none" &&
        v !== "normal" &&
        !(k === "opacity" && v === "1") &&
        !(k.startsWith("font") && a.tagName !== "text") &&
        !(k === "text-anchor" && v === "start")
      )
        b.setAttribute(k, v.replace(/px$/, ""));
    }
  });
  for (const [k, v] of [
    ["x", r.left - o.x],
    ["y", r.top - o.y],
    ["width", r.width],
    ["height", r.height],
  ] as const)
    copy.setAttribute(k, px(v));
  o.out.append(copy);
}

function walk(el: Element, o: Origin) {
  const style = getComputedStyle(el);
  const r = el.getBoundingClientRect();
  if (style.display === "none" || style.visibility === "hidden" || el.classList.contains("hidden"))
    return;
  if (el instanceof SVGSVGElement) return drawing(el, r, o);
  if (r.width && r.height && style.display !== "contents") box(el, style, r, o);
  if (el instanceof HTMLCanvasElement)
    return void o.out.append(
      s("image", {
        x: px(r.left - o.x),
        y: px(r.top - o.y),
        width: px(r.width),
        height: px(r.height),
        href: el.toDataURL(),
        "image-rendering": "pixelated",
      }),
    );
  for (const child of el.childNodes) {
    if (child instanceof Text) words(child, o);
    else if (child instanceof Element) walk(child, o);
  }
}

/** Strip and view, without controls, nothing scrolled away, as the text of an SVG file. */
export function picture(title: string): string {
  const body = document.body;
  const was = body.className;
  body.className = `${was} static whole`;
  try {
    const parts = ["strip", "view"].map(by).filter((e) => e.getBoundingClientRect().height > 0);
    const rects = parts.map((e) => e.getBoundingClientRect());
    const inner = parts.flatMap((e) =>
      [...e.querySelectorAll(".card, table, .tokens, svg")].map(
        (x) => x.getBoundingClientRect().right,
      ),
    );
    const x = Math.min(...rects.map((r) => r.left)) - 12;
    const y = rects[0].top - 12;
    const width = Math.max(...rects.map((r) => r.right), ...inner) + 12 - x;
    const height = rects[rects.length - 1].bottom + 12 - y;
    const out = s(
      "svg",
      { viewBox: `0 0 ${px(width)} ${px(height)}`, width: px(width), height: px(height) },
      s("title", {}, title),
      s("rect", {
        width: "100%",
        height: "100%",
        fill: colour(getComputedStyle(body).backgroundColor).rgb,
      }),
    );
    const measure = document.createElement("canvas").getContext("2d") as CanvasRenderingContext2D;
    for (const e of parts) walk(e, { x, y, out, measure });
    // A token may hold control characters, which no XML file may, not even written as numbers.
    return new XMLSerializer().serializeToString(out).replace(NOT_IN_XML, "\uFFFD");
  } finally {
    body.className = was;
  }
}
