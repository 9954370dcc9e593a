// view_neurons.ts: all neurons of the model in a list: asked, searched, sorted, page by page.
import { h, rove, table } from "./dom";
import { count, exact, tokenText } from "./format";
import { go } from "./state";
import type { NeuronRow, Neurons, Requests } from "./types";
import { button, card, choice, neuronLink, note, number, term, toggle } from "./parts";
import type { Context, View } from "./view";

export const fields = {
  ask: "", // fires_on, raises, lowers, near
  word: "", // of the question; near: layer.channel.index
  like: "", // text in label or name
  sort: "", // empty: score, strength or norm
  down: 0, // 1: the other way round
  named: 0, // 1: those that people named
  row: 0, // first of the page
  seed: 0, // of the random order
};
const ROWS = 50;

const first = { row: 0 };
const questions: [string, string][] = [
  ["", "all neurons"],
  ["fires_on", "that fire on"],
  ["raises", "that raise"],
  ["lowers", "that lower"],
  ["near", "near neuron"],
];

/** What is asked of the server; a question without its word is none yet. */
function request(c: Context): Requests["neurons"] {
  const s = c.state;
  return {
    ...(s.ask && s.word ? { [s.ask]: s.word } : {}),
    ...(s.like ? { find: s.like } : {}),
    ...(s.named ? { named: true } : {}),
    ...(s.layer >= 0 ? { layer: s.layer } : {}),
    ...(s.channel >= 0 && s.channel < c.info.model.channels ? { channel: s.channel } : {}),
    ...(s.sort ? { sort: s.sort as Requests["neurons"]["sort"] } : {}),
    ...(s.down ? { reversed: true } : {}),
    ...(s.seed ? { seed: s.seed } : {}),
    from: s.row,
    count: ROWS,
  };
}

function box(
  id: string,
  label: string,
  value: string,
  placeholder: string,
  set: (v: string) => void,
) {
  const onchange = (e: Event) => set((e.target as HTMLInputElement).value.trim());
  const props = { id, type: "text", value, placeholder, autocomplete: "off", onchange };
  return h("label", { for: id }, label, h("input", props));
}

const numbers = (n: number, all: string): [number, string][] => [
  [-1, all],
  ...Array.from({ length: n }, (_, i): [number, string] => [i, String(i)]),
];

const random = () => go({ sort: "random", seed: 1 + Math.floor(Math.random() * 1e6), ...first });

function controls(c: Context) {
  const s = c.state;
  const near = s.ask === "near";
  return [
    h(
      "div.row.toolbar",
      {},
      choice("ask", "show ", questions, s.ask, (ask) => go({ ask, word: "", sort: "", ...first })),
      s.ask
        ? box("word", near ? "neuron " : "word ", s.word, near ? "1.0.17" : "was", (word) =>
            go({ word, ...first }),
          )
        : null,
      box("like", "label holds ", s.like, "any text", (like) => go({ like, ...first })),
      choice("list-layer", "layer ", numbers(c.info.model.layers, "all"), s.layer, (v) =>
        go({ layer: Number(v), ...first }),
      ),
      c.info.model.channels > 1
        ? choice(
            "list-channel",
            "channel ",
            numbers(c.info.model.channels, "all"),
            s.channel,
            (v) => go({ channel: Number(v), ...first }),
          )
        : null,
      choice(
        "sort",
        "by ",
        [
          ["", s.ask && s.word ? "score" : c.info.recording ? "strength" : "norm"],
          ...["label", "frequency", "strength", "norm", "place", "random"].map(
            (x): [string, string] => [x, x],
          ),
        ],
        s.sort,
        (sort) => go({ sort, ...first }),
      ),
      toggle("reversed", s.down > 0, () => go({ down: s.down ? 0 : 1, ...first })),
      toggle("named", s.named > 0, () => go({ named: s.named ? 0 : 1, ...first })),
      button("random", random),
    ),
  ];
}

/** Its name, with the label under it; else the label. */
function called(r: NeuronRow) {
  const open = () => go({ view: "neuron", neuron: `${r.layer}.${r.channel}.${r.index}` });
  const title = r.name ? `${r.name}, by ${r.author || "somebody"}; ${r.label}` : r.label;
  return h(
    "button.link.wrap",
    { type: "button", title, onclick: open },
    r.name ? [h("strong", {}, r.name), " ", h("span.soft", {}, r.label)] : r.label,
  );
}

const share = (r: NeuronRow) =>
  r.frequency === null
    ? "–"
    : h(
        "span",
        { title: exact(r.frequency), "data-exact": r.frequency },
        `${(100 * r.frequency).toFixed(2)} %`,
      );
const known = (x: number | null, digits: number) => (x === null ? "–" : number(x, digits));

const SCORES: Record<string, string> = {
  fires_on: "share of its |value| that falls on the word; unrecorded: what its weights read there",
  raises: "what one firing of value 1 adds to the word's logit, up to the final norm's scale",
  lowers: "what one firing of value 1 takes from the word's logit, up to the final norm's scale",
  near: "cosine of the two neurons as linear maps of the stream: 1 is the same",
};

function sentence(n: Neurons) {
  if (!n.found) return "No neuron is so. Take a part of the question away.";
  const to = n.from + n.neurons.length;
  const asked = n.token ? ` for the token “${tokenText(n.token.text)}”` : "";
  return `${count(n.from + 1)} to ${count(to)} of ${count(n.found)} neurons${asked}.`;
}

function pager(n: Neurons) {
  const to = (row: number) => () => go({ row: Math.max(0, row) });
  const last = n.from + n.neurons.length >= n.found;
  return h(
    "div.row",
    {},
    h("span.note", { id: "found" }, sentence(n)),
    button("previous", to(n.from - ROWS), { disabled: n.from === 0 }),
    button("next", to(n.from + ROWS), { disabled: last }),
  );
}

export const neurons: View<Neurons> = {
  name: "neurons",
  title: "Neurons",
  letter: "b",
  needsPrompt: false,
  about: "all neurons in a list: what fires on a word, raises it, or is near another",
  controls,
  load: (c) => c.server.call("neurons", request(c), c.signal, c.progress),
  draw(c, n) {
    const asked = n.question !== null;
    const rows = n.neurons.map((r) => [
      neuronLink(r.layer, r.channel, r.index),
      called(r),
      ...(asked ? [known(r.score, 4)] : []),
      share(r),
      known(r.strength, 3),
      known(r.norm, 3),
    ]);
    const head = ["neuron", "label", ...(asked ? [">score"] : []), ">fires", ">strength", ">norm"];
    const meaning = asked ? SCORES[n.question ?? ""] : "";
    return {
      body: [
        card(
          pager(n),
          rows.length
            ? note("A label tells what it fires on | what it raises (+) and lowers (−) there.")
            : null,
          rows.length
            ? h("div.fold", {}, rove(table(head, rows, "neurons"), "td:nth-child(2) button"))
            : null,
          note(
            asked ? [term("score", meaning), ": ", meaning, ". "] : null,
            term("fires", "share of the recorded positions at which it fires"),
            ", ",
            term("strength", "largest |value| times the length of its output row"),
            " and ",
            term("norm", "lengths of its input and output row multiplied: from weights alone"),
            c.info.recording
              ? "."
              : ". How often and how strongly they fire is known with --recording REC.",
          ),
        ),
      ],
      key(k) {
        const step = k === "PageDown" ? ROWS : k === "PageUp" ? -ROWS : 0;
        if (k === "r") random();
        else if (!step || n.from + step < 0 || n.from + step >= n.found) return false;
        else go({ row: n.from + step });
        return true;
      },
    };
  },
};
