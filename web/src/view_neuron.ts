// view_neuron.ts: what a neuron reads and writes, from weights alone, and where it fires
// (card_record.ts).
import { h, table } from "./dom";
import { bar, exact, max, signed, token } from "./format";
import { takeAway } from "./joint";
import { go } from "./state";
import { parseNeuron, tint } from "./activation";
import { formulaCard } from "./card_formula";
import { recordedCards } from "./card_record";
import { nameCard, nameOf, ways } from "./neuron_name";
import type { Name } from "./neuron_name";
import type { Ends, Link, Neuron, Valued } from "./types";
import { button, card, neuronLink, note as plain, numberBox } from "./parts";
import type { Context, View } from "./view";
import { question } from "./view";

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

/** Three numbers that name a neuron; a change goes there. */
function place(c: Context, at: number[]) {
  const m = c.info.model;
  const most = [m.layers, Math.max(1, m.channels), m.neurons];
  const box = (k: number, label: string) => {
    const set = (x: number) => go({ neuron: at.map((v, i) => (i === k ? x : v)).join(".") });
    return numberBox(`n${k}`, label, at[k], { min: 0, max: most[k] - 1 }, set);
  };
  return [box(0, "layer "), box(1, "channel "), box(2, "neuron ")];
}

/** The neuron of the address; where none is named, the prompt's strongest, else the first. */
async function chosen(c: Context): Promise<[number, number, number]> {
  if (c.state.neuron || c.pos < 0) return parseNeuron(c.state.neuron);
  const a = await c.server.call(
    "attribute",
    question(c, { top: 400, verify: 0 }),
    c.signal,
    c.progress,
  );
  const first = a.terms.find((t) => t.kind === "neuron");
  return first ? [first.layer ?? 0, first.channel ?? 0, first.index ?? 0] : [0, 0, 0];
}

export const neuron: View<{ n: Neuron; name: Name | null }> = {
  name: "neuron",
  title: "Neuron",
  needsPrompt: false,
  about: "what one neuron reads and writes, and which others it is wired to",
  async load(c) {
    const [layer, channel, index] = await chosen(c);
    const [n, name] = await Promise.all([
      c.server.call("neuron", { layer, channel, index, top: 10, excerpts: 8 }, c.signal),
      nameOf(c, layer, channel, index),
    ]);
    return { n, name };
  },
  draw(c, { n, name }) {
    const { layer, channel, index } = n;
    const everywhere = takeAway(c.state.edits, { layer, channel, neuron: index, pos: null });
    return {
      body: [
        h(
          "div.row.toolbar",
          {},
          place(c, [layer, channel, index]),
          ways(c, [layer, channel, index]),
          button("steer it everywhere", () => go({ view: "steer", edits: everywhere })),
          c.read.tokens.length ? tint(layer, channel, index, "colour the strip by it") : null,
        ),
        card(
          h(
            "h2",
            {},
            `Layer ${layer}, channel ${channel}, neuron ${index}` +
              (n.pool ? `, of pool ${n.pool.number} of ${n.pool.of}` : ""),
          ),
          nameCard(c, n, name),
          plain(
            "Below, from weights alone, read through the tied embedding: what it " +
              "reads and writes " +
              "without a text: a bare token is its embedding alone. With a recording, where " +
              "it fires.",
          ),
        ),
        formulaCard(n),
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
      ],
    };
  },
};
