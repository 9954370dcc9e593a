// view_steer.ts: neurons scaled by sliders: the answer with gates held at once, the true rerun
// beside it.
import { h, table } from "./dom";
import { fieldError } from "./field_error";
import { exact, percent, signed, tokenText } from "./format";
import { writing } from "./generate";
import { idOf, labelsOf } from "./labels";
import type { Labels } from "./labels";
import type { Edit } from "./joint";
import { word } from "./glossary";
import { alone, key, meets, parse, together, write } from "./joint";
import { go, read } from "./state";
import type { Ablate, Attribute, Joint } from "./types";
import {
  button,
  card,
  choice,
  neuronLink,
  note,
  term,
  tokenBox,
  tokenChoices,
  where,
} from "./parts";
import type { Context, View } from "./view";
import { asked, question } from "./view";
import { candidate, nameBoxes } from "./words";

export const fields = {
  edits: "", // "layer.channel.index.pos*scale", joined by ";"
  toward: "", // a direction in the stream: toward this token,
  away: "", // away from this one
  behind: -1, // behind this layer; -1: the last
  strength: 4,
};

const edits = (list: Edit[]) =>
  list.map((e) => ({
    layer: e.layer,
    channel: e.channel,
    neuron: e.neuron,
    ...(e.pos === null ? {} : { pos: e.pos }),
    scale: e.scale,
  }));
function request(c: Context, list: Edit[]) {
  const { against: _, ...q } = question(c) as Record<string, unknown>;
  return { ...q, edits: edits(list) };
}

const behind = (c: Context) => {
  const last = c.info.model.layers - 1;
  return c.state.behind >= 0 && c.state.behind <= last ? c.state.behind : last;
};
/** The direction of the address, where there is one. */
function steering(c: Context) {
  const { toward, away, strength } = c.state;
  if (!toward) return {};
  return { steer: { layer: behind(c), toward, ...(away ? { away } : {}), strength } };
}
const changed = (c: Context, list: Edit[]) => ({ ...request(c, list), ...steering(c) });

/** Toward one token and away from another, behind a layer. */
function direction(c: Context) {
  const box = (key: "toward" | "away", label: string, placeholder: string) =>
    h(
      "label",
      { for: `box-${key}` },
      label,
      h("input", {
        id: `box-${key}`,
        type: "text",
        value: c.state[key],
        placeholder,
        list: "top-tokens",
        autocomplete: "off",
        onchange: (e: Event) => go({ [key]: (e.target as HTMLInputElement).value }),
      }),
    );
  const layers = Array.from({ length: c.info.model.layers }, (_, l) => l);
  const onchange = (e: Event) => go({ strength: Number((e.target as HTMLInputElement).value) });
  return h(
    "div.row",
    { id: "direction" },
    term(
      "A direction",
      "added to the stream at every position: the one along which the logit of a token, less " +
        "another's, rises fastest; sgatlin steer",
    ),
    box("toward", "toward ", "none"),
    box("away", "away from ", "none"),
    choice("behind", "behind layer ", layers, behind(c), (v) => go({ behind: Number(v) })),
    h(
      "label",
      { for: "strength" },
      "strength ",
      h("input", { id: "strength", type: "number", step: 1, value: c.state.strength, onchange }),
    ),
  );
}

function columns(r: Ablate) {
  return table(
    ["before", ">probability", "", "after", ">probability"],
    r.before.map((b, i) => [
      candidate(b),
      percent(b.probability),
      "→",
      r.after[i] ? candidate(r.after[i]) : "",
      percent(r.after[i]?.probability ?? null),
    ]),
    "predictions before and after",
  );
}
function figure(title: Node | string, id: string, x: number | null, said: string) {
  return h(
    "div.figure",
    {},
    h("h3", {}, title),
    h("span.big", { id, title: exact(x), "data-exact": x ?? "" }, signed(x)),
    h("p.note", {}, said),
  );
}

/** The three answers side by side; the rerun's is there when it is there. */
function answers(
  c: Context,
  a: Attribute,
  j: Joint | null,
  list: Edit[],
  r: Ablate | null,
  stale: boolean,
) {
  const steered = c.state.toward !== "";
  const held = j ? together(j, list) : null;
  const sum = j ? alone(j, list) : null;
  const change = r?.logit_change ?? null;
  return [
    h("h2", {}, "Change of the logit of ", h("span.mono", {}, asked(a))),
    h(
      "div.figures",
      {},
      figure(
        word("gates held", "Gates held"),
        "linear",
        held,
        j
          ? `${steered ? "of the sliders alone, without the direction: " : ""}at once and exact ` +
              "for all sliders together, with gates, attention patterns and norm scales as " +
              "the prompt made them"
          : "no answer: these sliders meet more neurons than can be solved at once",
      ),
      figure(
        "True rerun",
        "rerun",
        stale ? null : change,
        stale || !r
          ? "running …"
          : "the whole prompt run again: gates choose anew. Probability " +
              `${percent(r.probability_before)} to ${percent(r.probability_after)}, ` +
              `divergence ${r.kl?.toFixed(4)} nats`,
      ),
      figure(
        h("span", {}, "Difference: ", word("rerouting")),
        "rerouting",
        stale || steered || change === null || held === null ? null : change - held,
        steered
          ? "no answer with a direction: it is no neuron of the model's"
          : "true rerun less gates held: other neurons chosen, other attention, other norms",
      ),
      figure(
        "Each alone, added up",
        "alone",
        sum,
        "what the sliders would do one by one: it differs from gates held where one " +
          "neuron feeds another",
      ),
    ),
  ];
}

function slider(
  c: Context,
  list: Edit[],
  i: number,
  j: Joint | null,
  labels: Labels,
  update: (final: boolean) => void,
) {
  const e = list[i];
  const called = labels.get(idOf({ ...e, index: e.neuron }));
  const out = h("output", {}, `× ${e.scale}`);
  const at =
    e.pos === null ? "everywhere" : `at ${e.pos} ${tokenText(c.read.tokens[e.pos]?.text ?? "")}`;
  const set = (ev: Event, final: boolean) => {
    e.scale = Number((ev.target as HTMLInputElement).value);
    out.textContent = `× ${e.scale}`;
    update(final);
  };
  const met = j?.neurons.filter((n) => meets(e, n)) ?? [];
  const effect = met.reduce((s, n) => s + (n.value ?? 0) * (n.effect ?? 0), 0);
  const said = !j
    ? ""
    : met.length === 0
      ? "not chosen here: nothing to scale"
      : `${met.length > 1 ? `${met.length} places` : `value ${signed(met[0].value, 2)}`}, ` +
        `effect ${signed(effect, 3)}`;
  return h(
    "div.slider",
    {},
    h(
      "label",
      { for: `s${i}` },
      neuronLink(e.layer, e.channel, e.neuron),
      h("span", {}, ` ${at}`),
      h("span.soft", {}, ` ${said}`),
      called ? h("span.label", {}, called) : null,
    ),
    h("input", {
      id: `s${i}`,
      type: "range",
      min: -2,
      max: 4,
      step: 0.1,
      value: e.scale,
      list: "factors",
      "aria-label": `factor of ${key(e)}, ${at}`,
      oninput: (ev: Event) => set(ev, false),
      onchange: (ev: Event) => set(ev, true),
    }),
    out,
    h(
      "button.small",
      {
        type: "button",
        "aria-label": `take ${key(e)} off the list`,
        onclick: () => go({ edits: write(list.filter((_, k) => k !== i)) }),
      },
      "×",
    ),
  );
}

interface Data {
  a: Attribute;
  j: Joint | null;
  list: Edit[];
  labels: Labels;
}

/** The strongest neurons of the prompt that no slider has yet. */
function strongest(a: Attribute, list: Edit[], count: number): Edit[] {
  const has = new Set(list.map(key));
  return a.neurons
    .map((t) => ({
      layer: t.layer ?? 0,
      channel: t.channel ?? 0,
      neuron: t.index ?? 0,
      pos: t.position,
      scale: 0,
    }))
    .filter((e) => !has.has(key(e)))
    .slice(0, count);
}

function predictionsAfter(r: Ablate) {
  return [
    h("h2", {}, "Predictions of the true rerun"),
    h("div.tight", {}, columns(r)),
    note(
      "In grey: how either goes on until a word is whole. Values changed: " +
        `${r.edits.reduce((s, e) => s + e.changed, 0)}.`,
    ),
  ];
}

export const steer: View<Data> = {
  name: "steer",
  title: "Ablate & steer",
  needsPrompt: true,
  about: "scale neurons, steer along a direction, and see what the model then writes",
  controls: (c) => [
    h(
      "div.row.toolbar",
      {},
      tokenBox(c, "target", "watch ", "most probable"),
      tokenChoices(c),
      direction(c),
    ),
  ],
  async load(c) {
    const all = question(c, { top: 20000, against: undefined });
    const a = await c.server.call("attribute", all, c.signal, c.progress);
    // Without a slider the view begins with the strongest neuron taken away.
    const given = parse(c.state.edits);
    const list = given.length ? given : strongest(a, [], 1);
    const away = list.map((e) => ({ ...e, scale: 0 }));
    const j = await c.server
      .call("joint", request(c, away), c.signal, c.progress)
      .catch((e: Error) => {
        if (c.signal.aborted) throw e;
        return null; // too many neurons at once: the rerun alone answers
      });
    const labels = await labelsOf(
      c,
      list.map((e) => ({ ...e, index: e.neuron })),
    );
    return { a, j, list, labels };
  },
  draw(c, { a, j, list, labels }) {
    const figures = h("div.card", {});
    const truth = h("div.card", { hidden: true });
    let timer = 0;
    let last: Ablate | null = null;
    let shown = "";
    const draw = () =>
      figures.replaceChildren(...answers(c, a, j, list, last, shown !== write(list)));
    const rerun = async () => {
      const asked = write(list);
      try {
        const r = await c.server.call(
          "ablate",
          { ...changed(c, list), top: 8 },
          c.signal,
          c.progress,
        );
        if (asked !== write(list)) return;
        [last, shown] = [r, asked];
        draw();
        truth.hidden = false;
        truth.replaceChildren(...predictionsAfter(r));
      } catch (e) {
        truth.hidden = c.signal.aborted || fieldError(e);
        if (!truth.hidden)
          truth.replaceChildren(h("h2", {}, "The true rerun"), h("p", {}, (e as Error).message));
      }
    };
    const update = (final: boolean) => {
      draw();
      clearTimeout(timer);
      timer = setTimeout(rerun, final ? 0 : 160) as unknown as number;
      if (final && write(list) !== read().edits) go({ edits: write(list) }, true);
    };
    const written = writing(c, () => [
      { title: "as it is", id: "plain", extra: {} },
      {
        title: c.state.toward ? "with the sliders and the direction" : "with the sliders",
        id: "edited",
        extra: { edits: edits(list), ...steering(c) },
      },
    ]);
    const add = (k: number) => go({ edits: write([...list, ...strongest(a, list, k)]) });
    const factors = [-2, -1, 0, 1, 2, 3, 4].map((v) => h("option", { value: v }));
    draw();
    return {
      body: [
        card(
          h("h2", {}, "Scale neurons ", where(c)),
          h("datalist", { id: "factors" }, factors),
          list.map((_, i) => slider(c, list, i, j, labels, update)),
          h(
            "div.row.spaced",
            {},
            button("add the strongest", () => add(1)),
            button("add five", () => add(5)),
            c.state.edits ? button("clear", () => go({ edits: "" })) : null,
          ),
          note("× 0 takes a neuron away, × 1 leaves it, × 2 doubles it."),
        ),
        h("div.grid.steer", {}, figures, truth),
        written.element,
      ],
      // The view is complete, and can be saved, when its first rerun is there.
      async shown() {
        nameBoxes(a);
        await rerun();
        if (!c.signal.aborted) await written.start();
      },
    };
  },
};
