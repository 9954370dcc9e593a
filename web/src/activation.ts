// activation.ts: the strip coloured by one neuron: its value, its gate or its input at each
// position.
import { h } from "./dom";
import { max, signed } from "./format";
import { go } from "./state";
import type { Context } from "./view";

export type Quantity = "value" | "gate" | "input";
export const parseNeuron = (text: string): [number, number, number] => {
  const n = text.split(".").map((x) => Math.max(0, Number.parseInt(x, 10) || 0));
  return [n[0] ?? 0, n[1] ?? 0, n[2] ?? 0];
};
const quantity = (c: Context): Quantity =>
  c.state.quantity === "input" || (c.state.quantity === "gate" && c.info.model.router)
    ? c.state.quantity
    : "value";

/**
 * What the strip shows: v (one per position), the largest of them without sign, and words for each.
 */
export async function activation(c: Context) {
  const [layer, channel, index] = parseNeuron(c.state.tinted);
  const a = await c.server.call("activation", { ...c.prompt, layer, channel, index }, c.signal);
  const shown = quantity(c);
  const v = (shown === "gate" && a.gate ? a.gate : shown === "input" ? a.input : a.value).map(
    (x) => x ?? 0,
  );
  const most = max(v) || 1;
  const gate = (i: number) => (a.gate ? `, gate ${signed(a.gate[i])}` : "");
  const there = (i: number) =>
    a.chosen[i] ? `value ${signed(a.value[i])}${gate(i)}` : "not chosen";
  const say = (i: number) =>
    `neuron ${layer} · ${channel} · ${index}: ${there(i)}, input ${signed(a.input[i])}`;
  return {
    v,
    most,
    say,
    name: `${layer} · ${channel} · ${index}`,
    fired: a.chosen.filter(Boolean).length,
  };
}

/** Which of its numbers colours the strip, and the way back. */
export function quantityChoice(c: Context) {
  const words: [Quantity, string][] = [
    ["value", "value: what multiplies its output"],
    ["gate", "gate, 0 where not chosen"],
    ["input", "input, chosen or not"],
  ];
  return h(
    "label",
    { for: "quantity" },
    h("span.hidden", {}, "number of the neuron "),
    h(
      "select",
      {
        id: "quantity",
        onchange: (e: Event) => go({ quantity: (e.target as HTMLSelectElement).value }),
      },
      words
        .filter(([k]) => k !== "gate" || c.info.model.router)
        .map(([k, t]) => h("option", { value: k, selected: k === quantity(c) }, t)),
    ),
  );
}

/** Colours the strip by a neuron. */
export function tint(l: number, ch: number, i: number, label = "") {
  return h(
    label ? "button.small" : "button.link",
    {
      type: "button",
      "aria-label": label ? undefined : `colour the strip by layer ${l} channel ${ch} neuron ${i}`,
      title: "colour the strip by this neuron",
      onclick: () => go({ colour: "neuron", tinted: `${l}.${ch}.${i}` }),
    },
    label || "◐",
  );
}
