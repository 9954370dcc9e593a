// view_attention.ts: where the heads of a layer look.
import { h, hideTip, showTip, tipFor, table } from "./dom";
import { percent, raw, token, tokenParts, tokenText } from "./format";
import type { Attention, Token } from "./types";
import { go } from "./state";
import { card, choice, legend, note, share, where } from "./parts";
import type { Context, View } from "./view";

export const fields = { head: 0 };

const SIDE = 440; // pixels of a picture, before the page scales it

/** Which weight lies under the pointer. */
function point(el: HTMLElement, rows: (number | null)[][], tokens: Token[], e: PointerEvent) {
  const T = rows.length;
  const r = el.getBoundingClientRect();
  const s = Math.floor((T * (e.clientX - r.left)) / r.width);
  const t = Math.floor((T * (e.clientY - r.top)) / r.height);
  const w = rows[t]?.[s];
  if (s < 0 || s > t || w === undefined) return hideTip();
  showTip({ getBoundingClientRect: () => new DOMRect(e.clientX + 8, e.clientY, 1, 8) }, [
    h("span.mono", {}, `${t} ${tokenText(raw(tokens[t]))}`),
    " looks at ",
    h("span.mono", {}, `${s} ${tokenText(raw(tokens[s]))}`),
    `: ${percent(w)}`,
  ]);
}

function paint(el: HTMLCanvasElement, rows: (number | null)[][], locked: number, step: number) {
  const g = el.getContext("2d");
  if (!g) return;
  const style = getComputedStyle(document.documentElement);
  const [r, gr, b] = style.getPropertyValue("--pos").trim().split(" ");
  rows.forEach((row, t) =>
    row.forEach((v, s) => {
      g.fillStyle = `rgb(${r} ${gr} ${b} / ${Math.sqrt(v ?? 0)})`;
      g.fillRect(s * step, t * step, step, step);
    }),
  );
  g.strokeStyle = style.getPropertyValue("--fg");
  g.lineWidth = 2;
  g.strokeRect(1, locked * step + 1, (locked + 1) * step - 2, Math.max(1, step - 2));
}

/** The pattern of one head; tokens stand at its rows and columns while there is room for words. */
function picture(rows: (number | null)[][], locked: number, tokens: Token[]) {
  const step = Math.max(1, Math.floor(SIDE / rows.length));
  const size = rows.length * step;
  const label = "attention pattern";
  const props = { width: size, height: size, role: "img", "aria-label": label };
  const el = h("canvas", props) as HTMLCanvasElement;
  paint(el, rows, locked, step);
  el.addEventListener("pointermove", (e) => point(el, rows, tokens, e));
  el.addEventListener("pointerleave", hideTip);
  return el;
}

/** Words beside the large picture: one a row, when a row is tall enough to read. */
function words(tokens: Token[], locked: number, place: "rows" | "columns") {
  return h(
    `div.axis-words.${place}`,
    { "aria-hidden": "true" },
    tokens.map((t, i) =>
      h(i === locked ? "b.mono" : "span.mono", {}, tokenText(raw(t)).slice(0, 13)),
    ),
  );
}

function onText(c: Context, a: Attention, row: (number | null)[]) {
  const shade = (v: number | null) =>
    `rgb(var(--pos) / ${Math.min(0.65, Math.sqrt(v ?? 0) * 0.65)})`;
  return h(
    "div.tokens",
    { tabindex: 0, role: "region", "aria-label": "attention on the text" },
    a.tokens
      .slice(0, c.pos + 1)
      .map((t, i) =>
        tipFor(
          h("span.tok.still", { css: { background: shade(row[i]) } }, tokenParts(raw(t))),
          () => `position ${i}: ${percent(row[i])}`,
        ),
      ),
  );
}

const layerOf = (c: Context) => Math.min(Math.max(0, c.state.layer), c.info.model.layers - 1);

export const attention: View<Attention> = {
  name: "attention",
  title: "Attention",
  needsPrompt: true,
  about: "where each head looks",
  load: (c) => c.server.call("attention", { ...c.prompt, layer: layerOf(c) }, c.signal),
  draw(c, a) {
    const layer = layerOf(c);
    const head = Math.min(c.state.head, a.heads.length - 1);
    const row = a.heads[head][c.pos];
    const order = row
      .map((v, i): [number, number] => [v ?? 0, i])
      .sort((x, y) => y[0] - x[0])
      .slice(0, 10);
    // what a head's learned logit takes goes to no position
    const rest = 1 - row.reduce((s: number, v) => s + (v ?? 0), 0);
    const weight = (v: number) => h("span", { title: v, "data-exact": v }, v.toFixed(4));
    const layers = Array.from({ length: c.info.model.layers }, (_, l) => l);
    const heads = a.heads.map((rows, k) =>
      h(
        "button",
        {
          type: "button",
          "aria-pressed": String(k === head),
          onclick: () => go({ head: k }),
        },
        h("h3", {}, `head ${k}`),
        picture(rows, c.pos, a.tokens),
      ),
    );
    const big = [
      words(a.tokens, c.pos, "rows"),
      picture(a.heads[head], c.pos, a.tokens),
      words(a.tokens, c.pos, "columns"),
    ];
    const shade = (x: number) => `rgb(var(--pos) / ${Math.sqrt(x)})`;
    return {
      body: [
        card(
          h(
            "div.row.spread",
            {},
            h("h2", {}, `Attention of layer ${layer}`),
            choice("layer", "layer ", layers, layer, (v) => go({ layer: Number(v) })),
          ),
          h("div.heads", {}, heads),
          note(legend("0 ", " 1", shade, [0.01, 0.1, 0.25, 0.5, 1])),
          note(
            "Rows look, columns are looked at; the outlined row is the locked position. " +
              "Shade is the square root of the weight.",
          ),
        ),
        h(
          "div.grid",
          {},
          card(
            h("h2", {}, `Head ${head} looks from `, where(c)),
            table(
              ["pos", "token", ">weight", ""],
              order.map(([v, i]) => [i, token(a.tokens[i]), weight(v), share(v)]),
              "attention weights",
            ),
            rest > 1e-4
              ? note(`${percent(rest)} goes to the head's learned sink, to no position.`)
              : null,
          ),
          card(h("h2", {}, "On the text"), onText(c, a, row)),
          a.tokens.length <= 40
            ? card(h("h2", {}, `Head ${head}, with its words`), h("div.pattern", {}, big))
            : null,
        ),
      ],
      key(key) {
        const step = key === "ArrowUp" ? 1 : key === "ArrowDown" ? -1 : 0;
        if (step) go({ layer: Math.max(0, Math.min(c.info.model.layers - 1, layer + step)) });
        return step !== 0;
      },
    };
  },
};
