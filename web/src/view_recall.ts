// view_recall.ts: where a prediction is read from: attention edges cut layer by layer, and what
// each sublayer there would say by itself.
import { h, table } from "./dom";
import { percent, token, tokenText, raw } from "./format";
import { go } from "./state";
import type { Recall } from "./types";
import { card, choice, note, where } from "./parts";
import { layerChart } from "./layer_chart";
import type { Context, View } from "./view";

export const fields = {
  subject: "", // "first-last" positions; empty: the first token behind the begin token
  window: 0, // layers that are cut together; 0: the default
};

const meanings: Record<string, string> = {
  subject: "the subject",
  relation: "all other words",
  last: "itself",
  bos: "the begin token",
  random: "as many random words",
};

/** Positions of the subject, kept in front of the position that predicts. */
function subjectOf(c: Context): [number, number] {
  const [a, b] = c.state.subject.split("-").map(Number);
  const first = Math.max(1, Math.min(Number.isFinite(a) ? a : 1, c.pos));
  const last = Math.max(first, Math.min(Number.isFinite(b) ? b : first, c.pos - 1));
  return c.state.subject ? [first, last] : [1, 1];
}

function controls(c: Context) {
  const tokens = c.read.tokens.slice(0, c.pos);
  const [first, last] = subjectOf(c);
  const positions = (from: number) =>
    tokens
      .map((t, i): [number, string] => [i, `${i} ${tokenText(raw(t))}`])
      .filter(([i]) => i >= from);
  const layers = c.info.model.layers;
  const windows: [number, string][] = [
    [0, "as usual"],
    ...Array.from({ length: layers }, (_, k): [number, string] => [k + 1, String(k + 1)]),
  ];
  const from = (v: string) => go({ subject: `${v}-${Math.max(Number(v), last)}` });
  const to = (v: string) => go({ subject: `${first}-${v}` });
  return [
    h(
      "div.row.toolbar",
      {},
      choice("subject", "subject from ", positions(1), first, from),
      choice("subject-end", "to ", positions(first), last, to),
      choice("window", "layers cut together ", windows, c.state.window, (v) =>
        go({ window: Number(v) }),
      ),
    ),
  ];
}

function sublayers(a: Recall) {
  const cell = (x: Recall["attention"], l: number) => {
    const best = x.best[l];
    const rank = x.rank[l];
    if (!best || rank === null) return ["none"]; // a layer without this sublayer
    return [token(best), rank ? `; the answer has rank ${rank + 1}` : ""];
  };
  const rows = a.attention.rank.map((_, l) => [
    String(l),
    h("span", {}, cell(a.attention, l)),
    h("span", {}, cell(a.feedforward, l)),
  ]);
  return table(["layer", "attention", "feedforward"], rows, "what each sublayer puts first");
}

export const recall: View<Recall> = {
  name: "recall",
  title: "Recall",
  needsPrompt: true,
  about: "which words a prediction is read from, and in which layers",
  controls,
  load(c) {
    const [first, last] = subjectOf(c);
    const body = { ...c.prompt, position: c.pos, first, end: last + 1, window: c.state.window };
    return c.server.call("recall", body, c.signal, c.progress);
  },
  draw(c, a) {
    const curves = a.sets
      .filter((x) => x.change.length && meanings[x.set])
      .map((x) => ({
        name: meanings[x.set],
        values: x.change,
        dashed: x.set === "random",
      }));
    const subject = a.tokens
      .slice(a.subject[0], a.subject[1])
      .map((t) => tokenText(raw(t)))
      .join("");
    return {
      body: [
        card(
          h("h2", {}, "What ", token(a.answer), " is read from, at ", where(c)),
          note(
            `Probability ${percent(a.probability)}. Each curve: its change in per cent when `,
            `attention from here to those words is cut in ${a.window} `,
            `${a.window === 1 ? "layer" : "layers"} around each. The subject is `,
            h("span.mono", {}, subject),
            ". Dashed: the control.",
          ),
          layerChart("change of the answer's probability by layer", "%", curves),
        ),
        card(
          h("h2", {}, "What each sublayer says by itself"),
          note(
            "What it adds here, read by the output head alone: its first token, and the rank of ",
            "the answer (1: first) where that is another.",
          ),
          sublayers(a),
        ),
      ],
    };
  },
};
