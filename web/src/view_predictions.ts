// view_predictions.ts: what the model expects at the locked position, and how sure the choice of
// neurons is.
import { h, table } from "./dom";
import { exact, percent, token } from "./format";
import { writing } from "./generate";
import { go } from "./state";
import { word } from "./glossary";
import { aside, card, note, predicted, where } from "./parts";
import type { Continue, Margins } from "./types";
import { candidate, wordOf } from "./words";
import type { Context, View } from "./view";

/** The weakest choice of neurons at the position. */
function firmness(m: Margins, pos: number) {
  const weakest = m.margins?.[pos];
  if (!weakest) return [];
  return [
    h("h2", {}, "How firm is the choice of neurons?"),
    h(
      "p",
      {},
      "A change of the residual ",
      word("stream"),
      " of length ",
      h("span", { title: exact(weakest.distance) }, weakest.distance?.toPrecision(3) ?? "–"),
      `, ${percent(weakest.relative)} of its own, makes layer ${weakest.layer} channel ` +
        `${weakest.channel} choose neuron ${weakest.wins} in place of ${weakest.loses}.`,
    ),
    note(
      "It is the position's most fragile choice (the smallest ",
      word("margin"),
      "): what is read with ",
      word("gates held"),
      " is exact up to there.",
    ),
  ];
}

function next(c: Context) {
  const token_ = c.read.tokens[c.pos + 1];
  const loss = c.read.losses[c.pos + 1];
  if (!token_ || loss === null || loss === undefined)
    return h("p", {}, "Nothing: this is the end of the prompt.");
  return h(
    "p",
    {},
    token(token_),
    h("span", {}, ` with probability ${percent(Math.exp(-loss))}: loss `),
    h("strong", { title: exact(loss) }, loss.toFixed(4)),
    " nats.",
  );
}

export const predictions: View<null> = {
  name: "predictions",
  title: "Predictions",
  needsPrompt: true,
  about: "what the model expects after each token, and how firm its choice of neurons is",
  load: async () => null,
  draw(c) {
    const firm = h("div");
    const list = h("div", { id: "candidates" });
    const written = writing(c, () => [{ title: "as it is", id: "plain", extra: {} }]);
    const why = (target: string, text: string) => {
      const onclick = () => go({ view: "circuit", target, part: 0 });
      return h("button.link", { type: "button", onclick }, "why?", aside(text));
    };
    const show = (behind: Continue["continuations"]) => {
      const rows = c.read.predictions[c.pos].map((t, i) => {
        const b = behind[i]?.id === t.id ? behind[i] : undefined;
        const [, ...rest] = predicted(t);
        return [
          candidate(t, b),
          ...rest,
          why(b ? wordOf(b) : `id:${t.id}`, b?.continuation ?? t.text),
        ];
      });
      list.replaceChildren(
        table(["token", ">probability", "", ">logit", ""], rows, "most probable tokens"),
      );
    };
    show([]);
    return {
      body: [
        h(
          "div.grid",
          {},
          card(
            h("h2", {}, "What comes next? ", where(c)),
            list,
            c.info.tokenizer
              ? note(
                  "In grey: how the model goes on, always taking the likeliest token, until a " +
                    "word is whole.",
                )
              : null,
          ),
          card(h("h2", {}, "What came next"), next(c), firm),
        ),
        written.element,
      ],
      // Margins take longer than the predictions.
      async shown() {
        const body = { ...c.prompt, position: c.pos, top: c.read.predictions[c.pos].length };
        const behind = await c.server.call("continue", body, c.signal).catch(() => null);
        if (c.signal.aborted) return;
        if (behind) show(behind.continuations);
        await written.start();
        if (c.signal.aborted || !c.info.model.router) return;
        const m = await c.server.call("margins", c.prompt, c.signal);
        if (!c.signal.aborted) firm.replaceChildren(...firmness(m, c.pos));
      },
    };
  },
};
