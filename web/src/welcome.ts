// welcome.ts: the first screen: what the layer is, what can be asked, and a walk from a prediction
// to its circuit, a neuron and the run without it, on the model at hand.
import { h, s } from "./dom";
import type { Server } from "./api";
import { go } from "./state";
import { card } from "./parts";
import type { Info } from "./types";
import type { Loaded, View } from "./view";

/** One token's way through a layer: a router picks a few of many neurons, each adds its row. */
function picture() {
  const neurons = Array.from({ length: 12 }, (_, i) => {
    const on = [3, 7, 8].includes(i);
    const x = 76 + i * 19;
    return [
      on
        ? s("path", { class: "edge", d: `M52 46C80 46 ${x} 14 ${x} 38`, "stroke-width": 1.5 })
        : null,
      s("circle", { class: on ? "node on-path" : "node off-path", cx: x, cy: 46, r: on ? 7 : 5 }),
      on
        ? s("path", { class: "edge", d: `M${x} 54C${x} 76 300 76 318 52`, "stroke-width": 1.5 })
        : null,
    ];
  });
  return s(
    "svg",
    {
      class: "graph layer-picture",
      viewBox: "0 0 380 96",
      role: "img",
      "aria-label": "a token, a few neurons chosen of many, their sum",
    },
    s("text", { x: 2, y: 50 }, "a token"),
    neurons,
    s("text", { x: 318, y: 44 }, "their sum"),
    s("text", { class: "soft", x: 62, y: 90 }, "the router opens a few neurons of many"),
  );
}

/** What the model's layers are, in three sentences. */
function sentences(m: Loaded["model"]) {
  if (m.router)
    return (
      `In each of its ${m.layers} layers this model has ${m.channels} channels of ` +
      `${m.neurons} neurons, and a router that opens ${m.top_k} of each for every ` +
      "token. A neuron " +
      "reads one direction of the stream and writes another, scaled by its gate. So what a layer " +
      "does at a token is a short list of neurons, and a prediction is an exact sum over them."
    );
  return (
    `In each of its ${m.layers} layers this model has ${m.neurons} neurons. A neuron reads one ` +
    "direction of the stream and writes another. With what each of them answered held, a " +
    "prediction is an exact sum over them."
  );
}

/** Four stops; each takes its arguments from the answer before it. */
async function walk(server: Server, say: HTMLElement, text: string, signal: AbortSignal) {
  const stop = (i: number, words: string, act: string, next: () => void) => {
    say.replaceChildren(
      h("strong", {}, `${i} of 4 `),
      words,
      " ",
      h("button.primary", { type: "button", onclick: next }, act),
      h("button.link", { type: "button", onclick: () => say.remove() }, "end the walk"),
    );
  };
  const p = await server.call("predict", { text, top: 10 }, signal);
  const best = p.predictions[p.predictions.length - 1][0];
  const a = await server.call(
    "attribute",
    { text, position: p.tokens.length - 1, top: 400, verify: 0 },
    signal,
  );
  const n = a.neurons[0];
  const neuron = `${n.layer}.${n.channel}.${n.index}`;
  go({ view: "predictions", text, pos: -1 });
  const said = `After “${text}” the model expects “${best.text}”. Why?`;
  stop(1, said, "Show the circuit", () => {
    go({ view: "circuit", effects: "total", target: "" });
    stop(
      2,
      "The logit is the sum of these terms; one neuron leads the list.",
      "What is it?",
      () => {
        go({ view: "neuron", neuron });
        stop(3, "This is what it reads and writes.", "Take it away", () => {
          go({ view: "steer", edits: `${neuron}.${n.position}*0` });
          stop(4, "Left: the exact sum without it. Right: the model run again.", "Done", () =>
            say.remove(),
          );
        });
      },
    );
  });
}

/** Leads a reader through the model at hand. */
export function beginWalk(server: Server, text: string) {
  document.getElementById("walk")?.remove();
  const say = h("div", { id: "walk", class: "card", role: "status" }, "reading …");
  document.getElementById("strip")?.before(say);
  walk(server, say, text, new AbortController().signal).catch((e: Error) => {
    say.textContent = e.message;
  });
}

const starts = (info: Info) =>
  info.tokenizer ? (info.examples ?? []).map((e) => e.text) : ["5 6 7"];

/** Before a text is there. */
export function welcome(server: Server, info: Loaded, views: View[], key: (i: number) => string) {
  const texts = starts(info);
  const begin = (t: string) =>
    h("button", { type: "button", onclick: () => go({ text: t, pos: -1 }) }, t);
  const missing = (v: View) => v.missing?.(info)?.split(". ")[0];
  const tile = (v: View, i: number) =>
    h(
      "li",
      {},
      h(
        "button",
        { type: "button", onclick: () => go({ view: v.name }) },
        h("span.row.spread", {}, h("strong", {}, v.title), key(i) ? h("kbd", {}, key(i)) : null),
        h("span.soft", {}, v.about),
        missing(v) ? h("span.missing", {}, missing(v)) : null,
      ),
    );
  return [
    card(
      h("h2", {}, "What made the model say that?"),
      h("p", {}, sentences(info.model)),
      picture(),
      h("p", {}, "Type a text above, or begin with one of these:"),
      h("div.row", {}, texts.map(begin)),
      info.tokenizer && texts.length
        ? h(
            "div.row.spaced",
            {},
            h(
              "button.primary",
              { type: "button", onclick: () => beginWalk(server, texts[0]) },
              "Show me",
            ),
            h(
              "span.note",
              {},
              "a walk of four stops: prediction, circuit, neuron, the run without it",
            ),
          )
        : null,
    ),
    h("ul.welcome", {}, views.map(tile)),
  ];
}
