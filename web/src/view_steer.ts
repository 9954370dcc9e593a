// view_steer.ts: neurons scaled by sliders: the linear answer at once, the true rerun beside it.
import { h, table } from "./dom";
import { call } from "./api";
import { exact, percent, signed, token, tokenText } from "./format";
import { go, read } from "./state";
import type { Ablate, Attribute } from "./types";
import type { Context, View } from "./view";
import { named, question, tokenBox, tokenChoices, where } from "./view";

interface Edit { layer: number; channel: number; neuron: number; pos: number | null; scale: number }
export function parse(text: string): Edit[] {
  return text.split(";").filter(Boolean).map((e) => {
    const [at, scale] = e.split("*"), n = at.split(".");
    return { layer: Number(n[0]), channel: Number(n[1]), neuron: Number(n[2]), pos: n[3] ? Number(n[3]) : null, scale: Number(scale) };
  }).filter((e) => [e.layer, e.channel, e.neuron, e.scale].every(Number.isFinite)).slice(0, 32);
}
const write = (list: Edit[]) => list.map((e) => `${e.layer}.${e.channel}.${e.neuron}.${e.pos ?? ""}*${e.scale}`).join(";");
const key = (e: Edit) => `${e.layer}.${e.channel}.${e.neuron}.${e.pos ?? ""}`;

/** Change of the logit with gates, attention and norms held: each neuron's total effect, scaled. */
function linear(a: Attribute, list: Edit[]) {
  let sum = 0;
  for (const e of list)
    for (const t of a.neurons)
      if (t.layer === e.layer && t.channel === e.channel && t.index === e.neuron && (e.pos === null || e.pos === t.position)) sum += (e.scale - 1) * (t.effect ?? 0);
  return sum;
}

function columns(r: Ablate) {
  return table(["before", ">probability", "after", ">probability"], r.before.map((b, i) => [token(b), percent(b.probability), token(r.after[i] ?? null), percent(r.after[i]?.probability ?? null)]), "predictions before and after");
}

async function rerun(c: Context, list: Edit[], out: HTMLElement) {
  const edits = list.map((e) => ({ layer: e.layer, channel: e.channel, neuron: e.neuron, ...(e.pos === null ? {} : { pos: e.pos }), scale: e.scale }));
  const { against: _, ...q } = question(c) as Record<string, unknown>;
  try {
    const r = await call("ablate", { ...q, edits, top: 8 }, c.signal);
    const changed = r.edits.reduce((a, e) => a + e.changed, 0);
    out.replaceChildren(h("h2", {}, "The true rerun"),
      h("div", {}, h("span.big", { id: "rerun", title: exact(r.logit_change), "data-exact": r.logit_change ?? "" }, signed(r.logit_change)), h("span.note", {}, ` logit of ${named(r.target)}`)),
      h("p.note", {}, `Probability ${percent(r.probability_before)} to ${percent(r.probability_after)}; divergence ${r.kl?.toFixed(4)} nats; ${changed} numbers changed.`), columns(r));
  } catch (e) {
    if (!c.signal.aborted) out.replaceChildren(h("h2", {}, "The true rerun"), h("p", {}, (e as Error).message));
  }
}

function slider(c: Context, list: Edit[], i: number, update: (final: boolean) => void) {
  const e = list[i], out = h("output", {}, `× ${e.scale}`), at = e.pos === null ? "everywhere" : `at ${e.pos} ${tokenText(c.read.tokens[e.pos]?.text ?? "")}`;
  const set = (ev: Event, final: boolean) => {
    e.scale = Number((ev.target as HTMLInputElement).value);
    out.textContent = `× ${e.scale}`;
    update(final);
  };
  return h("div.slider", {}, h("label", { for: `s${i}` }, h("span.mono", {}, `${e.layer} · ${e.channel} · ${e.neuron}`), ` ${at}`),
    h("input", { id: `s${i}`, type: "range", min: -2, max: 4, step: 0.1, value: e.scale, oninput: (ev: Event) => set(ev, false), onchange: (ev: Event) => set(ev, true) }), out,
    h("button.small", { type: "button", "aria-label": `take ${key(e)} off the list`, onclick: () => go({ edits: write(list.filter((_, k) => k !== i)) }) }, "×"));
}

export const steer: View = {
  name: "steer", title: "Ablate & steer", needsPrompt: true,
  async show(c) {
    const a = await call("attribute", question(c, { top: 20000, against: undefined }), c.signal, c.progress);
    if (c.signal.aborted) return;
    const list = parse(c.state.edits), instant = h("div.card", {}), truth = h("div.card", {}, h("h2", {}, "The true rerun"), h("p.note", {}, "…"));
    let timer = 0;
    const update = (final: boolean) => {
      const d = linear(a, list);
      instant.replaceChildren(h("h2", {}, "At once, gates held"), h("div", {}, h("span.big", { id: "linear", title: exact(d), "data-exact": d }, signed(d)), h("span.note", {}, ` logit of ${named(a.target)}`)),
        h("p.note", {}, "Linear: the neurons' total effects, each scaled alone and added up, with gates, attention patterns and norm scales held at what the prompt made them. What the rerun shows besides is rerouting, and neurons that act through each other."));
      clearTimeout(timer);
      if (list.length) timer = setTimeout(() => rerun(c, list, truth), final ? 0 : 160) as unknown as number;
      if (final && write(list) !== read().edits) go({ edits: write(list) }, true);
    };
    const add = (k: number) => {
      const more = a.neurons.filter((t) => !list.some((e) => key(e) === `${t.layer}.${t.channel}.${t.index}.${t.position}`)).slice(0, k);
      go({ edits: write([...list, ...more.map((t) => ({ layer: t.layer ?? 0, channel: t.channel ?? 0, neuron: t.index ?? 0, pos: t.position, scale: 0 }))]) });
    };
    c.panel.replaceChildren(h("div.card", {}, h("div.row.spread", {}, h("h2", {}, "Scale neurons and see what changes ", where(c)),
      h("div.row", {}, tokenBox(c, "target", "watch ", "most probable"), tokenChoices(c),
        h("button.small", { type: "button", onclick: () => add(1) }, "add the strongest"), h("button.small", { type: "button", onclick: () => add(5) }, "add five"),
        list.length ? h("button.small", { type: "button", onclick: () => go({ edits: "" }) }, "clear") : null)),
      list.length ? list.map((_, i) => slider(c, list, i, update)) : h("p.note", {}, "No neuron yet: add some here, or press “steer” beside one in the circuit. × 0 takes a neuron away, × 1 leaves it, × 2 doubles it.")),
      list.length ? h("div.grid", {}, instant, truth) : h("span"));
    if (list.length) update(false);
  },
};
