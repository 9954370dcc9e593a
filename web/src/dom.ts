// dom.ts: elements without a framework. Text enters as text nodes only; styles through CSSOM, as
// the page's policy asks.
type Child = Node | string | number | null | undefined | false | Child[];
type Props = Record<string, unknown>;

function fill(el: Element, props: Props, children: Child[]) {
  for (const [k, v] of Object.entries(props)) {
    if (v === undefined || v === null || v === false) continue;
    if (k.startsWith("on")) el.addEventListener(k.slice(2), v as EventListener);
    else if (k === "css") Object.assign((el as HTMLElement).style, v);
    else if (k === "value" || k === "checked") (el as unknown as Props)[k] = v;
    else el.setAttribute(k, v === true ? "" : String(v));
  }
  append(el, children);
}

function append(el: Element, children: Child[]) {
  for (const c of children) {
    if (Array.isArray(c)) append(el, c);
    else if (c instanceof Node) el.append(c);
    else if (c !== null && c !== undefined && c !== false) el.append(String(c));
  }
}

/** h("td.num", {title: "x"}, child, ...) */
export function h(name: string, props: Props = {}, ...children: Child[]): HTMLElement {
  const [tag, ...classes] = name.split(".");
  const el = document.createElement(tag);
  if (classes.length) el.className = classes.join(" ");
  fill(el, props, children);
  return el;
}

export function s(name: string, props: Props = {}, ...children: Child[]): SVGElement {
  const el = document.createElementNS("http://www.w3.org/2000/svg", name);
  fill(el, props, children);
  return el;
}

export const by = (id: string) => document.getElementById(id) as HTMLElement;

/**
 * A table; head cells that begin with ">" are right-aligned. Cells know their column: on a phone a
 * long row stands in lines, each number with its name.
 */
export function table(head: string[], rows: Child[][], label: string): HTMLElement {
  const right = head.map((x) => x.startsWith(">"));
  const of = head.map((x, i) => ({ "data-head": right[i] ? x.slice(1) : x }));
  return h(
    "div.scroll",
    { tabindex: 0, role: "region", "aria-label": label },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          head.map((x, i) =>
            x === ""
              ? h("td")
              : h(right[i] ? "th.num" : "th", { scope: "col", ...of[i] }, of[i]["data-head"]),
          ),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((r) =>
          h(
            "tr",
            {},
            r.map((c, i) => h(right[i] ? "td.num" : "td", of[i], c)),
          ),
        ),
      ),
    ),
  );
}

/** Saves data as a file of the user's. */
export function save(name: string, data: string, type: string) {
  const url = URL.createObjectURL(new Blob([data], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/**
 * One stop of the Tab key for a long list: arrows, Home and End move along; what matches the
 * selector has it in turn.
 */
export function rove<T extends HTMLElement>(el: T, selector: string): T {
  const items = [...el.querySelectorAll<HTMLElement>(selector)];
  items.forEach((x, i) => {
    x.tabIndex = i ? -1 : 0;
  });
  el.addEventListener("keydown", (e) => {
    const i = items.indexOf(e.target as HTMLElement);
    const to =
      i < 0
        ? -1
        : e.key === "ArrowDown"
          ? i + 1
          : e.key === "ArrowUp"
            ? i - 1
            : e.key === "Home"
              ? 0
              : e.key === "End"
                ? items.length - 1
                : -1;
    if (to < 0 || to >= items.length) return;
    items[i].tabIndex = -1;
    items[to].tabIndex = 0;
    items[to].focus();
    e.preventDefault();
    e.stopPropagation();
  });
  return el;
}

const tip = () => by("tip");
export function showTip(at: { getBoundingClientRect(): DOMRect }, content: Child) {
  const t = tip();
  t.replaceChildren();
  append(t, [content]);
  t.hidden = false;
  const a = at.getBoundingClientRect();
  const b = t.getBoundingClientRect();
  const x = Math.max(8, Math.min(a.left, innerWidth - b.width - 8));
  const below = a.bottom + 8 + b.height < innerHeight;
  t.style.left = `${x}px`;
  t.style.top = `${Math.max(8, below ? a.bottom + 8 : a.top - b.height - 8)}px`;
}
export const hideTip = () => {
  tip().hidden = true;
};
/** Shows content while the element is pointed at or focused. */
export function tipFor<T extends Element>(el: T, content: () => Child): T {
  for (const e of ["pointerenter", "focus"]) el.addEventListener(e, () => showTip(el, content()));
  for (const e of ["pointerleave", "blur"]) el.addEventListener(e, hideTip);
  return el;
}
