// view_predictions.ts: what the model expects at the locked position, and how sure the choice of
// neurons is.
import { h, table } from "./dom";
import { exact, percent, signed, token } from "./format";
import { go } from "./state";
import { call } from "./api";
import type { Context, View } from "./view";
import { where } from "./view";

/** Asked for on its own: it takes longer than the predictions. */
async function firmness(c: Context, el: HTMLElement) {
  const m = (await call("margins", c.prompt, c.signal)).margins?.[c.pos];
  if (!m || c.signal.aborted) return;
  el.replaceChildren(
    h("h2", {}, "How firm is the choice of neurons?"),
    h(
      "p",
      {},
      `A change of the residual stream of length ${exact(m.distance)}, ` +
        `${percent(m.relative)} of its own, makes layer ${m.layer} channel ${m.channel} ` +
        `choose neuron ${m.wins} in place of ${m.loses}.`,
    ),
    h(
      "p.note",
      {},
      "It is the position's most fragile choice: what is read with gates held is " +
        "exact up to there.",
    ),
  );
}

export const predictions: View = {
  name: "predictions",
  title: "Predictions",
  needsPrompt: true,
  about: "what the model expects after each token, and how firm its choice of neurons is",
  async show(c) {
    const list = c.read.predictions[c.pos];
    const next = c.read.tokens[c.pos + 1];
    const firm = h("div");
    const loss = c.read.losses[c.pos + 1];
    c.panel.replaceChildren(
      h(
        "div.grid",
        {},
        h(
          "div.card",
          {},
          h("h2", {}, "What comes next? ", where(c)),
          table(
            ["token", ">probability", "", ">logit", ""],
            list.map((t) => [
              token(t),
              h(
                "span",
                { title: exact(t.probability), "data-exact": t.probability ?? "" },
                percent(t.probability),
              ),
              h(
                "div.bar",
                { "aria-hidden": "true" },
                "\u00a0",
                h("i", {
                  css: {
                    left: "0",
                    width: `${100 * (t.probability ?? 0)}%`,
                    background: "rgb(var(--pos) / .8)",
                  },
                }),
              ),
              h("span", { title: exact(t.logit) }, signed(t.logit, 3)),
              h(
                "button.link",
                { type: "button", onclick: () => go({ view: "circuit", target: `id:${t.id}` }) },
                "why?",
                h("span.hidden", {}, ` ${t.text}`),
              ),
            ]),
            "most probable tokens",
          ),
        ),
        h(
          "div.card",
          {},
          h("h2", {}, "What came next"),
          next && loss !== null && loss !== undefined
            ? h(
                "p",
                {},
                token(next),
                h("span", {}, ` with probability ${percent(Math.exp(-loss))}: loss `),
                h("strong", { title: exact(loss) }, loss.toFixed(4)),
                " nats.",
              )
            : h("p", {}, "Nothing: this is the end of the prompt."),
          firm,
        ),
      ),
    );
    if (c.info.model.router) await firmness(c, firm);
  },
};
