// view_lens.ts: what the output head would say after each layer.
import { h, tipFor } from "./dom";
import { call } from "./api";
import { exact, percent, raw, scale, token, tokenParts, tokenText } from "./format";
import { go } from "./state";
import type { View } from "./view";

export const lens: View = {
  name: "lens",
  title: "Logit lens",
  needsPrompt: true,
  about: "what the model would say if it stopped after each layer",
  async show(c) {
    const a = await call("lens", { ...c.prompt, top: 5 }, c.signal, c.progress);
    if (c.signal.aborted) return;
    const name = (site: string) =>
      site === "embed" ? "embedding" : `after layer ${site.split(".")[1]}`;
    const body = [...a.layers].reverse().map((l) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, name(l.site)),
        l.predictions.map((list, t) => {
          const best = list[0];
          const p = best?.probability ?? 0;
          const b = h(
            "button",
            {
              type: "button",
              tabindex: t === c.pos ? 0 : -1,
              onclick: () => go({ pos: t }),
              "data-exact": p,
              "aria-label":
                `${name(l.site)}, position ${t}: ` +
                `${best ? tokenText(raw(best)) : ""}, ${percent(p)}`,
              css: {
                background: `rgb(var(--pos) / ${(0.6 * p).toFixed(3)})`,
                outline: t === c.pos ? "1.5px solid var(--soft)" : "",
              },
            },
            h("span.mono", {}, best ? tokenParts(raw(best)) : ""),
          );
          return h(
            "td",
            {},
            tipFor(b, () => [
              h("strong", {}, `${name(l.site)}, position ${t}`),
              h(
                "table",
                {},
                list.map((x) =>
                  h(
                    "tr",
                    {},
                    h("td", {}, token(x)),
                    h("td.num", { title: exact(x.probability) }, percent(x.probability)),
                  ),
                ),
              ),
            ]),
          );
        }),
      ),
    );
    const el = h(
      "div.scroll",
      { tabindex: 0, role: "region", "aria-label": "predictions by layer and position" },
      h(
        "table.lens",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th.corner", { scope: "col" }, "input"),
            a.tokens.map((t, i) =>
              h(
                "th",
                { scope: "col", css: i === c.pos ? { color: "var(--fg)" } : {} },
                h("span.mono", {}, tokenText(t.text)),
              ),
            ),
          ),
        ),
        h("tbody", {}, body),
      ),
    );
    c.panel.replaceChildren(
      h(
        "div.card",
        {},
        h("h2", {}, "Most probable token, read after each layer"),
        el,
        h(
          "p.note.legend",
          {},
          "probability 0 ",
          scale((x) => `rgb(var(--pos) / ${0.6 * x})`, [0.05, 0.25, 0.5, 0.75, 1]),
          " 1",
        ),
        h(
          "p.note",
          {},
          "The residual stream of each layer through the final norm and the output " +
            "head; shade is the probability. The last layer stands on top and is the " +
            "prediction itself; the embedding, below, is the token read. Point at a " +
            "cell for the next best.",
        ),
      ),
    );
    const cell = el.querySelectorAll("tbody tr:first-child td")[c.pos] as HTMLElement | undefined;
    if (cell) el.scrollLeft = cell.offsetLeft - el.clientWidth / 2;
  },
};
