// view_neuron.ts: what a neuron reads and writes, from weights alone, and where it fires
// (card_record.ts).
import { h, table } from "./dom";
import { call } from "./api";
import { bar, exact, max, signed, token } from "./format";
import { go } from "./state";
import { parseNeuron, tint } from "./activation";
import { recordedCards } from "./card_record";
import type { Ends, Link, Valued } from "./types";
import type { View } from "./view";
import { neuronLink } from "./view";

const rows = (list: Valued[], most: number) =>
  list.map((t) => [
    token(t),
    h("span", { title: exact(t.value), "data-exact": t.value ?? "" }, signed(t.value, 3)),
    bar(t.value ?? 0, most),
  ]);

function ends(e: Ends | undefined, title: string, note: string) {
  if (!e) return null;
  const most = max([...e.top, ...e.bottom].map((t) => t.value ?? 0));
  return h(
    "div.card",
    {},
    h("h2", {}, title),
    table(
      ["token", ">value", ""],
      [...rows(e.top.slice(0, 8), most), ...rows(e.bottom.slice(0, 5).reverse(), most)],
      title,
    ),
    h("p.note", {}, note),
  );
}
function linked(list: Link[], title: string) {
  const most = max(list.map((l) => l.weight ?? 0));
  return h(
    "div.card",
    {},
    h("h2", {}, title),
    list.length
      ? table(
          ["neuron", ">weight", ""],
          list.map((l) => [
            neuronLink(l.layer, l.channel, l.index),
            h("span", { title: exact(l.weight) }, signed(l.weight, 4)),
            bar(l.weight ?? 0, most),
          ]),
          title,
        )
      : h("p.note", {}, "none: this is the first or last layer"),
  );
}

export const neuron: View = {
  name: "neuron",
  title: "Neuron",
  needsPrompt: false,
  about: "what one neuron reads and writes, and which others it is wired to",
  async show(c) {
    const m = c.info.model;
    const [layer, channel, index] = parseNeuron(c.state.neuron);
    const n = await call("neuron", { layer, channel, index, top: 10, excerpts: 8 }, c.signal);
    if (c.signal.aborted) return;
    const at = [layer, channel, index];
    const most = [m.layers, Math.max(1, m.channels), m.neurons];
    const box = (k: number, label: string) =>
      h(
        "label",
        { for: `n${k}` },
        label,
        h("input", {
          id: `n${k}`,
          type: "number",
          min: 0,
          max: most[k] - 1,
          value: at[k],
          onchange: (e: Event) => {
            const to = [...at];
            to[k] = Math.max(
              0,
              Math.min(most[k] - 1, Number((e.target as HTMLInputElement).value) || 0),
            );
            go({ neuron: to.join(".") });
          },
        }),
      );
    c.panel.replaceChildren(
      h(
        "div.card",
        {},
        h(
          "div.row.spread",
          {},
          h("h2", {}, `Layer ${layer}, channel ${channel}, neuron ${index}`),
          h(
            "div.row",
            {},
            box(0, "layer "),
            box(1, "channel "),
            box(2, "neuron "),
            h(
              "button.small",
              {
                type: "button",
                onclick: () =>
                  go({
                    view: "steer",
                    edits: [
                      ...c.state.edits.split(";").filter(Boolean),
                      `${layer}.${channel}.${index}.*0`,
                    ].join(";"),
                  }),
              },
              "steer it everywhere",
            ),
            c.read.tokens.length ? tint(layer, channel, index, "colour the strip by it") : null,
          ),
        ),
        h(
          "p.note",
          {},
          "Below, from weights alone, read through the tied embedding: what it reads " +
            "and writes without a text. With a recording, where it fires.",
        ),
      ),
      ...recordedCards(c, n),
      h(
        "div.grid",
        {},
        ends(
          n.writes,
          "Writes: logits it raises and lowers",
          "Per unit of the neuron's value, up to the final norm's scale.",
        ),
        ends(n.value, "Value at a bare token", "Reads times opens, before an activation."),
        ends(n.opens, "Opens for", "The router's score for the neuron at a bare token."),
        ends(n.reads, "Reads", "Input weights against each token's embedding."),
        linked(n.upstream, "Fed by"),
        linked(n.downstream, "Feeds"),
      ),
    );
  },
};
