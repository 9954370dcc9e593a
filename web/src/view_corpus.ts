// view_corpus.ts: a recorded text: circuits nearest to one of it, places where neurons fire
// together.
import { h, table } from "./dom";
import { count, exact, raw, tokenText } from "./format";
import { word } from "./glossary";
import { go } from "./state";
import type { Place } from "./types";
import { button, card, choice, neuronLink, note } from "./parts";
import { noCircuits, recordedLayer } from "./recorded";
import type { Recording } from "./recorded";
import type { Context, View } from "./view";

export const fields = {
  find: "", // text whose circuit is the query
  place: -1, // position that is the query; -1: find
  units: "", // "channel.neuron;...": places where they fire together
};

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
  const t = await c.server.call("together", { layer, neurons, count: 40 }, c.signal);
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
  const n = await c.server.call(
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

function field(c: Context) {
  const onchange = (e: Event) =>
    go({ find: (e.target as HTMLInputElement).value, place: -1, units: "" });
  return h(
    "label",
    { for: "find" },
    "circuit at the end of ",
    h("input", {
      id: "find",
      type: "text",
      value: c.state.find,
      placeholder: "such as  dog",
      onchange,
    }),
  );
}

export const corpus: View<HTMLElement | null> = {
  name: "corpus",
  title: "Corpus",
  needsPrompt: false,
  about: "circuits like a given one in a recorded text, and every place where a neuron fires",
  missing: (info) =>
    noCircuits(info, "it shows circuits like a given one and every place where a neuron fires"),
  controls(c) {
    const r = c.info.recording as Recording;
    const layer = recordedLayer(c, r);
    const channels: [number, string | number][] = [
      [-1, "all"],
      ...Array.from({ length: r.channels }, (_, k): [number, number] => [k, k]),
    ];
    return [
      h(
        "div.row.toolbar",
        {},
        field(c),
        choice("corpus-layer", "layer ", r.layers, layer, (v) => go({ layer: Number(v) })),
        choice("corpus-channel", "channel ", channels, c.state.channel, (v) =>
          go({ channel: Number(v) }),
        ),
        c.pos >= 0 && !ofPrompt(c)
          ? button("circuits like that of the prompt here", () =>
              go({ units: "", place: -1, find: "" }),
            )
          : null,
      ),
    ];
  },
  async load(c) {
    const layer = recordedLayer(c, c.info.recording as Recording);
    if (c.state.units) return together(c, layer);
    return ofPrompt(c) || c.state.place >= 0 || c.state.find ? nearest(c, layer) : null;
  },
  draw(c, found) {
    const r = c.info.recording as Recording;
    return {
      body: [
        note(
          `${count(r.positions)} positions of ${count(r.documents)} documents. Without a search, ` +
            "a typed prompt's ",
          word("circuit"),
          " at the chosen position is the query. A blank in front belongs to a word's token.",
        ),
        found ?? card(h("h2", {}, "The recorded text")),
      ],
    };
  },
};
