// format.ts: tokens with visible spaces, numbers with sign, colours.
import { h } from "./dom";

const marks: Record<string, string> = { "\n": "↵", "\t": "⇥", "\r": "␍", " ": "·" };

/** Control characters have pictures of their own in Unicode. */
const mark = (c: string) =>
  marks[c] ??
  (c < " " ? String.fromCharCode(0x2400 + c.charCodeAt(0)) : c === "\x7f" ? "␡" : undefined);

/** A token as elements: marks for spaces stand beside it for the eye; a copy gives the raw text. */
export function tokenParts(text: string): (Node | string)[] {
  if (text === "") return [h("span.space", { "data-raw": "" }, "∅")];
  return [...text].map((c) =>
    mark(c) ? h("span.space", { "aria-hidden": "true", "data-raw": c }, mark(c)) : c,
  );
}
/** What a copy of tokens holds: the characters themselves in place of their marks. */
export function rawText(part: DocumentFragment): string {
  for (const e of part.querySelectorAll<HTMLElement>("[data-raw]"))
    e.textContent = e.dataset.raw ?? "";
  return part.textContent ?? "";
}
export const tokenText = (text: string) =>
  text === "" ? "∅" : [...text].map((c) => mark(c) ?? c).join("");
export interface Shown {
  id: number;
  text: string;
  bytes?: string;
}
/** The text; where the token is a part of a character, its bytes. */
export const raw = (t: Shown) => (t.bytes ? `⟨${t.bytes.replace(/..(?=.)/g, "$& ")}⟩` : t.text);
export const token = (t: Shown | null) =>
  t ? h("span.mono", { title: `id ${t.id}` }, tokenParts(raw(t))) : h("span", {}, "–");

export const signed = (x: number | null, digits = 4) =>
  x === null ? "–" : (x < 0 ? "" : "+") + x.toFixed(digits);
export const percent = (p: number | null) =>
  p === null ? "–" : p >= 0.0995 ? `${(100 * p).toFixed(1)} %` : `${(100 * p).toPrecision(2)} %`;
export const count = (n: number) => n.toLocaleString("en");
export const brief = (x: number) =>
  Math.abs(x) >= 1e4 ? count(Math.round(x)) : Number(x.toPrecision(4)).toString();
export const exact = (x: number | null) =>
  x === null ? "–" : x.toPrecision(9).replace(/\.?0+$/, "");

/**
 * Colour of v from -1 (orange) over nothing to 1 (blue): safe for colour-blind readers, light
 * enough for text.
 */
export function diverging(v: number, most = 0.6) {
  const a = Math.min(1, Math.abs(v)) * most;
  return `rgb(var(--${v < 0 ? "neg" : "pos"}) / calc(${a.toFixed(3)} * var(--strength)))`;
}
export const sequential = (v: number, most = 0.6) =>
  `rgb(var(--seq) / calc(${(Math.max(0, Math.min(1, v)) * most).toFixed(3)} * var(--strength)))`;

/** A bar around the middle. */
export function bar(v: number, max: number) {
  const w = max > 0 ? (50 * Math.abs(v)) / max : 0;
  return h(
    "div.bar",
    { "aria-hidden": "true" },
    "\u00a0",
    h("i", {
      css: {
        left: `${v < 0 ? 50 - w : 50}%`,
        width: `${w}%`,
        background: diverging(v < 0 ? -1 : 1, 0.85),
      },
    }),
  );
}
export const max = (xs: number[]) => xs.reduce((a, x) => Math.max(a, Math.abs(x)), 0);
