// view_attention.ts: where the heads of a layer look.
import { h, hideTip, showTip, tipFor, table } from "./dom";
import { call } from "./api";
import { exact, percent, raw, scale, token, tokenParts, tokenText } from "./format";
import type { Token } from "./types";
import { go } from "./state";
import type { View } from "./view";
import { where } from "./view";

function picture(rows: (number | null)[][], locked: number, tokens: Token[]) {
  const T = rows.length;
  const step = Math.max(1, Math.floor(440 / T));
  const size = T * step;
  const el = h("canvas", {
    width: size,
    height: size,
    role: "img",
    "aria-label": "attention pattern",
  }) as HTMLCanvasElement;
  const g = el.getContext("2d") as CanvasRenderingContext2D;
  const [r, gr, b] = getComputedStyle(document.documentElement)
    .getPropertyValue("--pos")
    .trim()
    .split(" ");
  rows.forEach((row, t) =>
    row.forEach((v, s) => {
      g.fillStyle = `rgb(${r} ${gr} ${b} / ${Math.sqrt(v ?? 0)})`;
      g.fillRect(s * step, t * step, step, step);
    }),
  );
  g.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--fg");
  g.lineWidth = 2;
  g.strokeRect(1, locked * step + 1, (locked + 1) * step - 2, Math.max(1, step - 2));
  el.addEventListener("pointermove", (e) => {
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
  });
  el.addEventListener("pointerleave", hideTip);
  return el;
}

export const attention: View = {
  name: "attention",
  title: "Attention",
  needsPrompt: true,
  about: "where each head looks",
  async show(c) {
    const layer = Math.min(Math.max(0, c.state.layer), c.info.model.layers - 1);
    const a = await call("attention", { ...c.prompt, layer }, c.signal);
    if (c.signal.aborted) return;
    const head = Math.min(c.state.head, a.heads.length - 1);
    const row = a.heads[head][c.pos];
    const order = row
      .map((v, i) => [v ?? 0, i])
      .sort((x, y) => y[0] - x[0])
      .slice(0, 10);
    c.panel.replaceChildren(
      h(
        "div.card",
        {},
        h(
          "div.row.spread",
          {},
          h("h2", {}, `Attention of layer ${layer}`),
          h(
            "label",
            { for: "layer" },
            "layer ",
            h(
              "select",
              {
                id: "layer",
                onchange: (e: Event) =>
                  go({ layer: Number((e.target as HTMLSelectElement).value) }),
              },
              Array.from({ length: c.info.model.layers }, (_, l) =>
                h("option", { value: l, selected: l === layer }, l),
              ),
            ),
          ),
        ),
        h(
          "div.heads",
          {},
          a.heads.map((rows, k) =>
            h(
              "button",
              {
                type: "button",
                "aria-pressed": k === head ? "true" : "false",
                onclick: () => go({ head: k }),
              },
              h("h3", {}, `head ${k}`),
              picture(rows, c.pos, a.tokens),
            ),
          ),
        ),
        h(
          "p.note.legend",
          {},
          "0 ",
          scale((x) => `rgb(var(--pos) / ${Math.sqrt(x)})`, [0.01, 0.1, 0.25, 0.5, 1]),
          " 1",
        ),
        h(
          "p.note",
          {},
          "Rows look, columns are looked at; the outlined row is the locked position. " +
            "Shade is the square root of the weight.",
        ),
      ),
      h(
        "div.grid",
        {},
        h(
          "div.card",
          {},
          h("h2", {}, `Head ${head} looks from `, where(c)),
          table(
            ["pos", "token", ">weight", ""],
            order.map(([v, i]) => [
              i,
              token(a.tokens[i]),
              h("span", { title: exact(v), "data-exact": v }, v.toFixed(4)),
              h(
                "div.bar",
                { "aria-hidden": "true" },
                "\u00a0",
                h("i", {
                  css: { left: "0", width: `${100 * v}%`, background: "rgb(var(--pos) / .8)" },
                }),
              ),
            ]),
            "attention weights",
          ),
        ),
        h(
          "div.card",
          {},
          h("h2", {}, "On the text"),
          h(
            "div.tokens",
            { tabindex: 0, role: "region", "aria-label": "attention on the text" },
            a.tokens.slice(0, c.pos + 1).map((t, i) =>
              tipFor(
                h(
                  "span.tok.still",
                  {
                    css: {
                      background:
                        "rgb(var(--pos) / " + `${Math.min(0.65, Math.sqrt(row[i] ?? 0) * 0.65)})`,
                    },
                  },
                  tokenParts(raw(t)),
                ),
                () => `position ${i}: ${percent(row[i])}`,
              ),
            ),
          ),
        ),
      ),
    );
  },
  key(c, key) {
    const step = key === "ArrowUp" ? 1 : key === "ArrowDown" ? -1 : 0;
    if (step)
      go({
        layer: Math.max(0, Math.min(c.info.model.layers - 1, Math.max(0, c.state.layer) + step)),
      });
    return step !== 0;
  },
};
