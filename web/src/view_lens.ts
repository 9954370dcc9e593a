// view_lens.ts: what the output head would say after each layer.
import { h, tipFor } from "./dom";
import { exact, percent, raw, signed, token, tokenParts, tokenText } from "./format";
import { go } from "./state";
import { card, legend, note, probability, tokenBox, tokenChoices } from "./parts";
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

/** How likely each layer has the word, the last on top. */
function wordCard(target: NonNullable<Lens["target"]>) {
  const rows = [...target.layers]
    .reverse()
    .map((x) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, name(x.site)),
        h(
          "td.num",
          { title: exact(x.log_probability), "data-exact": x.log_probability ?? "" },
          signed(x.log_probability, 3),
        ),
        h("td.num", {}, probability(x.probability)),
        h("td.num", {}, String(x.rank + 1)),
      ),
    );
  const several = target.word.ids.length > 1;
  return card(
    h(
      "h2",
      {},
      h("span.mono", {}, tokenText(target.word.text)),
      ` behind position ${target.position}, layer by layer`,
    ),
    h(
      "div.scroll",
      { tabindex: 0, role: "region", "aria-label": "the word, layer by layer" },
      h(
        "table.word-lens",
        { id: "word-lens" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", { scope: "col" }, "read"),
            h("th.num", { scope: "col" }, "log probability"),
            h("th.num", { scope: "col" }, "probability"),
            h("th.num", { scope: "col" }, several ? "rank of its first token" : "rank"),
          ),
        ),
        h("tbody", {}, rows),
      ),
    ),
    note(
      several
        ? "The model runs along the word, and each layer is read at the places of its tokens: " +
            "log probabilities are added up. The row on top is the word's own."
        : "Rank 1 is the most probable token. The row on top is the prediction itself.",
    ),
  );
}

export const lens: View<Lens> = {
  name: "lens",
  title: "Logit lens",
  needsPrompt: true,
  about: "what the model would say if it stopped after each layer",
  controls: (c) => [
    h("div.row.toolbar", {}, tokenBox(c, "target", "how likely is ", "a word"), tokenChoices(c)),
  ],
  load(c) {
    const { target } = c.state;
    const word = target ? { target, position: c.pos } : {};
    return c.server.call("lens", { ...c.prompt, top: 5, ...word }, c.signal, c.progress);
  },
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
        a.target ? wordCard(a.target) : null,
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
