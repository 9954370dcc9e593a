// view_lens.ts: what the output head would say after each layer.
import { h, tipFor } from "./dom";
import { call } from "./api";
import { percent, raw, token, tokenParts, tokenText } from "./format";
import { go } from "./state";
import { card, legend, note, probability } from "./parts";
import type { Lens } from "./types";
import type { Context, View } from "./view";

type Row = Lens["layers"][number];
const name = (site: string) =>
  site === "embed" ? "embedding" : `after layer ${site.split(".")[1]}`;

function cell(c: Context, row: Row, t: number) {
  const list = row.predictions[t];
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
        `${name(row.site)}, position ${t}: ${best ? tokenText(raw(best)) : ""}, ` + percent(p),
      css: {
        background: `rgb(var(--pos) / ${(0.6 * p).toFixed(3)})`,
        outline: t === c.pos ? "1.5px solid var(--soft)" : "",
      },
    },
    h("span.mono", {}, best ? tokenParts(raw(best)) : ""),
  );
  const all = () => [
    h("strong", {}, `${name(row.site)}, position ${t}`),
    h(
      "table",
      {},
      list.map((x) =>
        h("tr", {}, h("td", {}, token(x)), h("td.num", {}, probability(x.probability))),
      ),
    ),
  ];
  return h("td", {}, tipFor(b, all));
}

export const lens: View<Lens> = {
  name: "lens",
  title: "Logit lens",
  needsPrompt: true,
  about: "what the model would say if it stopped after each layer",
  load: (c) => call("lens", { ...c.prompt, top: 5 }, c.signal, c.progress),
  draw(c, a) {
    const body = [...a.layers].reverse().map((row) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, name(row.site)),
        row.predictions.map((_, t) => cell(c, row, t)),
      ),
    );
    const head = a.tokens.map((t, i) => {
      const css = i === c.pos ? { color: "var(--fg)" } : {};
      return h("th", { scope: "col", css }, h("span.mono", {}, tokenText(t.text)));
    });
    const el = h(
      "div.scroll",
      { tabindex: 0, role: "region", "aria-label": "predictions by layer and position" },
      h(
        "table.lens",
        {},
        h("thead", {}, h("tr", {}, h("th.corner", { scope: "col" }, "input"), head)),
        h("tbody", {}, body),
      ),
    );
    const shade = (x: number) => `rgb(var(--pos) / ${0.6 * x})`;
    return {
      body: [
        card(
          h("h2", {}, "Most probable token, read after each layer"),
          el,
          note(legend("probability 0 ", " 1", shade, [0.05, 0.25, 0.5, 0.75, 1])),
          note(
            "The residual stream of each layer through the final norm and the output head; shade " +
              "is the probability. The last layer stands on top and is the prediction " +
              "itself; the " +
              "embedding, below, is the token read. Point at a cell for the next best.",
          ),
        ),
      ],
      shown() {
        const at = el.querySelectorAll<HTMLElement>("tbody tr:first-child td")[c.pos];
        if (at) el.scrollLeft = at.offsetLeft - el.clientWidth / 2;
      },
    };
  },
};
