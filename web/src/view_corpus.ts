// view_corpus.ts: a recorded text: circuits nearest to one of it, places where neurons fire
// together.
import { h, table } from "./dom";
import { call } from "./api";
import { count, exact, raw, tokenText } from "./format";
import { go } from "./state";
import type { Info, Place } from "./types";
import type { Context, View } from "./view";
import { neuronLink } from "./view";

type Recording = NonNullable<Info["recording"]>;

/**
 * The token itself stands between two pairs of stars; where the text has such pairs of its own, it
 * is shown as it is.
 */
export function excerpt(p: Place) {
  const parts = (p.excerpt ?? `token ${p.input}`).split("**");
  return h(
    "span.mono",
    {},
    parts.length === 3
      ? [tokenText(parts[0]), h("mark", {}, tokenText(parts[1])), tokenText(parts[2])]
      : tokenText(parts.join("**")),
  );
}
function places(list: Place[], label: string) {
  const far = list.some((p) => p.distance !== undefined);
  return table(
    [...(far ? [">distance"] : []), "place", "excerpt", "model expects", ""],
    list.map((p) => [
      ...(far
        ? [
            h(
              "span",
              { title: exact(p.distance ?? null), "data-exact": p.distance ?? "" },
              (p.distance ?? 0).toFixed(4),
            ),
          ]
        : []),
      `${p.document}:${p.place}`,
      excerpt(p),
      h(
        "span.mono",
        {},
        p.predictions
          .slice(0, 3)
          .map((t, i) => tokenText(t ?? `#${p.prediction_ids[i]}`))
          .join("  "),
      ),
      h(
        "button.link",
        { type: "button", onclick: () => go({ place: p.position, find: "", units: "" }) },
        "like this",
        h("span.hidden", {}, ` ${p.document}:${p.place}`),
      ),
    ]),
    label,
  );
}

async function together(c: Context, layer: number): Promise<HTMLElement> {
  const neurons = c.state.units
    .split(";")
    .map((u) => u.split(".").map(Number))
    .map(([channel, neuron]) => ({ channel, neuron }));
  const t = await call("together", { layer, neurons, count: 40 }, c.signal);
  return h(
    "div.card",
    {},
    h(
      "h2",
      {},
      neurons.length > 1 ? "Where these neurons fire together" : "Where this neuron fires",
    ),
    h(
      "div.row",
      {},
      neurons.map((n) => neuronLink(layer, n.channel, n.neuron)),
    ),
    h(
      "p.note",
      {},
      `${count(t.count)} places; by chance ${exact(t.expected)}; lift ` +
        `${exact(t.lift)}. The first ${t.positions.length}:`,
    ),
    places(t.positions, "places"),
  );
}

/** Nothing else was asked for: the circuit at the locked position of the typed prompt. */
const ofPrompt = (c: Context) => c.pos >= 0 && !c.state.units && c.state.place < 0 && !c.state.find;

const channels = (x: number | string) => (x === "all" ? "all channels" : `channel ${x}`);

async function nearest(c: Context, layer: number): Promise<HTMLElement> {
  const what = ofPrompt(c)
    ? { ...c.prompt, pos: c.pos }
    : c.state.place >= 0
      ? { position: c.state.place }
      : { find: c.state.find };
  const n = await call(
    "neighbors",
    { layer, ...(c.state.channel >= 0 ? { channel: c.state.channel } : {}), ...what, count: 30 },
    c.signal,
  );
  const q = n.query;
  const from =
    "document" in q
      ? [h("strong", {}, `${q.document}:${q.place} `), excerpt(q)]
      : [
          h("strong", {}, `position ${q.position} `),
          "of the prompt, ",
          h(
            "span.mono",
            {},
            q.tokens
              .slice(Math.max(0, q.position - 5), q.position)
              .map((t) => tokenText(raw(t)))
              .join(""),
            h("mark", {}, tokenText(raw(q.tokens[q.position]))),
          ),
        ];
  return h(
    "div.card",
    {},
    h("h2", {}, `Nearest circuits in layer ${n.layer}, ${channels(n.channel)}`),
    h("p", { id: "query" }, "to the one at ", from),
    places(n.neighbors, "nearest circuits"),
    h(
      "p.note",
      {},
      "One minus the cosine of the gates; an exact search, " +
        `${((n.seconds ?? 0) * 1000).toFixed(1)} ms.`,
    ),
  );
}

function controls(c: Context, r: Recording, layer: number) {
  return h(
    "div.card",
    {},
    h("h2", {}, "The recorded text"),
    h(
      "div.row",
      {},
      h(
        "label",
        { for: "find" },
        "circuit at the end of ",
        h("input", {
          id: "find",
          type: "text",
          value: c.state.find,
          placeholder: "such as  dog",
          onchange: (e: Event) =>
            go({ find: (e.target as HTMLInputElement).value, place: -1, units: "" }),
        }),
      ),
      h(
        "label",
        { for: "corpus-layer" },
        "layer ",
        h(
          "select",
          {
            id: "corpus-layer",
            onchange: (e: Event) => go({ layer: Number((e.target as HTMLSelectElement).value) }),
          },
          r.layers.map((l) => h("option", { value: l, selected: l === layer }, l)),
        ),
      ),
      h(
        "label",
        { for: "corpus-channel" },
        "channel ",
        h(
          "select",
          {
            id: "corpus-channel",
            onchange: (e: Event) => go({ channel: Number((e.target as HTMLSelectElement).value) }),
          },
          h("option", { value: -1 }, "all"),
          Array.from({ length: r.channels }, (_, k) =>
            h("option", { value: k, selected: k === c.state.channel }, k),
          ),
        ),
      ),
    ),
    c.pos >= 0 && !ofPrompt(c)
      ? h(
          "p",
          { css: { margin: "10px 0 0" } },
          h(
            "button.small",
            { type: "button", onclick: () => go({ units: "", place: -1, find: "" }) },
            "circuits like that of the prompt here",
          ),
        )
      : null,
    h(
      "p.note",
      {},
      `${count(r.positions)} positions of ${count(r.documents)} documents. Without a ` +
        "search, a typed prompt's circuit at the chosen position is the query. A blank " +
        "in front belongs to a word's token.",
    ),
  );
}

export const corpus: View = {
  name: "corpus",
  title: "Corpus",
  needsPrompt: false,
  about: "circuits like a given one in a recorded text, and every place where a neuron fires",
  async show(c) {
    const r = c.info.recording;
    if (!r) {
      c.panel.replaceChildren(
        h(
          "div.card",
          {},
          h("h2", {}, "Corpus"),
          h(
            "p",
            {},
            "No recording is open. Make one with sgatlin record MODEL --data FILE -o " +
              "REC, and start the explorer with --recording REC: it shows circuits like " +
              "a given one and every place where a neuron fires.",
          ),
        ),
      );
      return;
    }
    const layer = r.layers.includes(c.state.layer) ? c.state.layer : r.layers[r.layers.length - 1];
    const head = controls(c, r, layer);
    c.panel.replaceChildren(head);
    if (!ofPrompt(c) && !c.state.units && c.state.place < 0 && !c.state.find) return;
    const found = await (c.state.units ? together(c, layer) : nearest(c, layer)).catch((e: Error) =>
      h("div.card", {}, h("p", {}, e.message.replace("--find: ", ""))),
    );
    if (!c.signal.aborted) c.panel.replaceChildren(head, found);
  },
};
