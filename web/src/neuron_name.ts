// neuron_name.ts: what a neuron is called: its label, the name that a person gave, a field to give
// one; the way on to other neurons.
import { h } from "./dom";
import { go } from "./state";
import { button, note } from "./parts";
import type { Labels, Neuron } from "./types";
import type { Context } from "./view";

export type Name = Labels["labels"][number];

/** The neuron's row of names; null where the answer fails: the card says the rest. */
export async function nameOf(c: Context, layer: number, channel: number, index: number) {
  const neurons = [{ layer, channel, index }];
  const a = await c.server.call("labels", { neurons }, c.signal).catch(() => null);
  return a?.labels[0] ?? null;
}

function words(name: Name) {
  return name.given
    ? [
        h("strong", {}, name.label),
        h("span.soft", {}, name.author ? ` by ${name.author} · ` : " · "),
        h("span.soft", {}, name.automatic),
      ]
    : [h("strong", {}, name.automatic)];
}

/** Label or name, and a field that changes it; an error stands under the field and keeps it. */
export function nameCard(c: Context, n: Neuron, name: Name | null) {
  if (!name) return null;
  const { layer, channel, index } = n;
  const said = h("p", { id: "called" }, words(name));
  const wrong = h("p.note", { id: "name-error", role: "alert" });
  const field = h("input", {
    id: "neuron-name",
    type: "text",
    value: name.given ? name.label : "",
    placeholder: "a name of your own",
    maxlength: 191,
    autocomplete: "off",
    "aria-describedby": "name-error",
  }) as HTMLInputElement;
  const give = async () => {
    try {
      const asked = { layer, channel, index, name: field.value.trim() };
      const a = await c.server.call("name", asked, c.signal);
      said.replaceChildren(...words(a.labels[0]));
      wrong.textContent = "";
    } catch (e) {
      if (!c.signal.aborted) wrong.textContent = (e as Error).message;
    }
  };
  const onsubmit = (e: Event) => {
    e.preventDefault();
    give();
  };
  const label = h("label.grow", { for: "neuron-name" }, "name ", field);
  return [
    said,
    c.server.recorded
      ? null
      : h("form.row", { onsubmit }, label, h("button.small", { type: "submit" }, "keep"), wrong),
    note("The label: what it fires on, | what it raises (+) and lowers (−) there."),
  ];
}

/** Buttons to the neuron before and after, any other, and those like it. */
export function ways(c: Context, at: number[]) {
  const m = c.info.model;
  const sizes = [m.layers, Math.max(1, m.channels), m.neurons];
  const all = sizes.reduce((a, b) => a * b);
  const number = at.reduce((a, x, k) => a * sizes[k] + x, 0);
  const to = (i: number) => {
    const left = ((i % all) + all) % all;
    const parts = [
      Math.floor(left / (sizes[1] * sizes[2])),
      Math.floor(left / sizes[2]) % sizes[1],
      left % sizes[2],
    ];
    go({ neuron: parts.join(".") });
  };
  const near = { view: "neurons", ask: "near", word: at.join("."), sort: "", row: 0, like: "" };
  return [
    button("previous", () => to(number - 1)),
    button("next", () => to(number + 1)),
    button("any", () => to(Math.floor(Math.random() * all))),
    button("like it", () => go(near)),
    button("all neurons", () => go({ view: "neurons" })),
  ];
}
