// card_record.ts: where a neuron fires in the recording: how often, how strongly, on what, with
// whom, and whether its weights foretell it.
import { h, s, table } from "./dom";
import {
  bar,
  count,
  diverging,
  exact,
  max,
  percent,
  raw,
  signed,
  token,
  tokenParts,
} from "./format";
import { go } from "./state";
import type { Fires, Firing, Histogram, Neuron, Valued } from "./types";
import type { Context } from "./view";
import { neuronLink } from "./parts";

/**
 * A token in its context, coloured by the neuron's value there; what did not fire has no colour.
 */
function spot(t: Valued, most: number, here: boolean) {
  const title = t.value === null ? "did not fire" : `value ${exact(t.value)}`;
  const css = t.value === null ? {} : { background: diverging(t.value / most) };
  return h(
    here ? "b.here" : "span",
    { title, css, "data-exact": t.value ?? undefined },
    tokenParts(raw(t)),
  );
}
const context = (f: Firing, most: number) =>
  h(
    "span.mono.context",
    {},
    f.before.map((t) => spot(t, most, false)),
    spot({ ...f.token, value: f.value }, most, true),
    f.after.map((t) => spot(t, most, false)),
  );

function excerpts(n: Neuron, r: Fires) {
  const most =
    max(
      r.excerpts
        .flatMap((f) => [f.value, ...[...f.before, ...f.after].map((t) => t.value)])
        .map((x) => x ?? 0),
    ) || 1;
  const open = (f: Firing) =>
    h(
      "button.link",
      {
        type: "button",
        title: "this place in the corpus, and circuits like it",
        onclick: () =>
          go({ view: "corpus", layer: n.layer, place: f.position, find: "", units: "" }),
      },
      `${f.document}:${f.place}`,
    );
  return h(
    "div.card",
    {},
    h("h2", {}, "On what it fires"),
    table(
      ["side", "from top", ">value", ...(r.gates ? [">gate"] : []), "excerpt", "then", "place"],
      r.excerpts.map((f) => [
        f.side,
        f.quantile === 1 ? "strongest" : `${Math.round(100 * (1 - (f.quantile ?? 0)))} %`,
        h("span", { title: exact(f.value), "data-exact": f.value ?? "" }, signed(f.value, 3)),
        h("span", { title: exact(f.gate), "data-exact": f.gate ?? "" }, signed(f.gate, 3)),
        context(f, most),
        token(f.target),
        r.kept ? `${f.document}:${f.place}` : open(f),
      ]),
      "excerpts",
    ),
    h(
      "p.note",
      {},
      "For what the neuron writes (value above 0) and against it, each side strongest first, " +
        "then from a quarter, half and three quarters down its range. " +
        "Each token has the colour of the neuron's value there: blue above 0, orange " +
        "below, none where it did not fire. The begin token is left out.",
    ),
  );
}

/** Bars over [low, high]; a screen reader hears the range. */
function histogram(g: Histogram, name: string) {
  const W = 300;
  const H = 70;
  const most = Math.max(1, ...g.counts);
  const w = W / g.counts.length;
  const low = g.low ?? 0;
  const high = g.high ?? 0;
  const zero = low < 0 && high > 0 ? (-low / (high - low)) * W : null;
  const bars = g.counts.map((n, i) =>
    s(
      "rect",
      {
        x: (i * w + 0.5).toFixed(1),
        width: (w - 1).toFixed(1),
        y: (H - (H * n) / most).toFixed(1),
        height: ((H * n) / most).toFixed(1),
        css: {
          fill: diverging(low + ((i + 0.5) / g.counts.length) * (high - low) < 0 ? -1 : 1, 0.85),
        },
      },
      s(
        "title",
        {},
        `${signed(low + (i * (high - low)) / g.counts.length, 3)} to ` +
          `${signed(low + ((i + 1) * (high - low)) / g.counts.length, 3)}: ${count(n)}`,
      ),
    ),
  );
  return h(
    "div",
    {},
    h("h3", {}, name),
    s(
      "svg",
      {
        class: "chart",
        viewBox: `0 0 ${W} ${H + 16}`,
        role: "img",
        "aria-label": `${name} of its firings, from ${exact(g.low)} to ${exact(g.high)}`,
        "data-counts": g.counts.join(","),
      },
      bars,
      s("line", { class: "axis", x1: 0, x2: W, y1: H, y2: H }),
      zero === null ? null : s("line", { class: "axis", x1: zero, x2: zero, y1: 0, y2: H }),
      s("text", { class: "soft", x: 0, y: H + 13 }, signed(g.low, 3)),
      s("text", { class: "soft", x: W, y: H + 13, "text-anchor": "end" }, signed(g.high, 3)),
    ),
  );
}

function agreement(x: number | null, tokens: number, what: string) {
  return h(
    "p",
    {},
    h("span.big", { title: exact(x), "data-exact": x ?? "" }, x === null ? "–" : signed(x, 3)),
    h(
      "span.note",
      {},
      ` ${what}, ` +
        `${tokens < 3 ? `which takes 3 tokens (${tokens} here)` : `over ${count(tokens)} tokens`}`,
    ),
  );
}

function partners(n: Neuron, r: Fires) {
  const most = max(r.partners.map((p) => p.lift ?? 0));
  const link = (p: Fires["partners"][number]) =>
    h(
      "button.link",
      {
        type: "button",
        onclick: () =>
          go({
            view: "corpus",
            layer: n.layer,
            units: `${n.channel}.${n.index};${p.channel}.${p.index}`,
            find: "",
            place: -1,
          }),
      },
      "where",
      h("span.hidden", {}, ` with ${p.channel} · ${p.index}`),
    );
  return h(
    "div.card.fold",
    {},
    h("h2", {}, "Fires together with"),
    r.partners.length
      ? table(
          ["neuron", ">together", ">of its own", ">over chance", "", ""],
          r.partners.map((p) => [
            neuronLink(n.layer, p.channel, p.index),
            count(p.together),
            percent(r.count ? p.together / r.count : null),
            h(
              "span",
              { title: exact(p.lift), "data-exact": p.lift ?? "" },
              `×${(p.lift ?? 0).toFixed(1)}`,
            ),
            bar(p.lift ?? 0, most),
            link(p),
          ]),
          "partners",
        )
      : h("p.note", {}, "no neuron of its layer in a tenth of its positions"),
    h(
      "p.note",
      {},
      "Neurons of its layer in at least a tenth of its positions, by how much more " +
        "often than by chance.",
    ),
  );
}

/** What a recording tells of the neuron; without one, what it would. */
export function recordedCards(c: Context, n: Neuron): (HTMLElement | null)[] {
  const r = n.recorded;
  if (!r) {
    const why = n.unrecorded
      ? `Not in the open recording: ${n.unrecorded}.`
      : c.info.recording
        ? ""
        : c.info.model.router
          ? "No recording is open. With one (sgatlin record MODEL --data FILE -o REC, " +
            "then sgatlin explore MODEL --recording REC) this card shows how often " +
            "the neuron fires, excerpts from its strongest to its weakest, the range " +
            "of its gates, what it fires with, and whether its weights foretell it."
          : "No recording is open. With one (sgatlin record MODEL --data FILE -o REC, then " +
            "sgatlin explore MODEL --recording REC) this card shows how often the neuron is " +
            "above 0, excerpts of its strongest values, and their range.";
    return [h("div.card", {}, h("h2", {}, "Where it fires"), h("p.note", {}, why))];
  }
  if (!r.count)
    return [
      h(
        "div.card",
        {},
        h("h2", {}, "Where it fires"),
        h("p", {}, `It was never chosen in ${count(r.positions)} recorded positions.`),
      ),
    ];
  return [
    h(
      "div.card",
      {},
      h(
        "div.row.spread",
        {},
        h("h2", {}, "Where it fires"),
        r.kept
          ? null
          : h(
              "div.row",
              {},
              h(
                "button.small",
                {
                  type: "button",
                  onclick: () =>
                    go({
                      view: "corpus",
                      layer: n.layer,
                      units: `${n.channel}.${n.index}`,
                      find: "",
                      place: -1,
                    }),
                },
                "all places",
              ),
              h(
                "button.small",
                {
                  type: "button",
                  onclick: () =>
                    go({ view: "map", layer: n.layer, lit: `${n.channel}.${n.index}` }),
                },
                "on the map",
              ),
            ),
      ),
      h(
        "p",
        { id: "fires", "data-count": r.count },
        h("span.big", {}, percent(r.density)),
        h(
          "span.note",
          {},
          ` of ${count(r.positions)} recorded positions: ` +
            `${r.kept && !n.opens ? "above 0" : "chosen"} at ${count(r.count)}`,
        ),
      ),
      h(
        "div.grid",
        {},
        r.kept ? null : histogram(r.gates, "gates"),
        histogram(r.values, "values"),
        r.kept
          ? h(
              "p.note",
              {},
              "Of this kind of neuron the strongest values are recorded, and a sample of the " +
                "rest: its range above.",
            )
          : h(
              "div",
              {},
              h("h3", {}, "Do the weights foretell it?"),
              agreement(
                r.agreement,
                r.agreement_tokens,
                `rank agreement of ${n.value ? "“value at a bare token”" : "“reads”"} ` +
                  "with its mean value on each token",
              ),
              agreement(
                r.written_agreement,
                r.written_tokens,
                "of “writes” with its mean value before each token to come",
              ),
            ),
      ),
    ),
    excerpts(n, r),
    r.kept ? null : partners(n, r),
  ];
}
