// strip.ts: the prompt as tokens, coloured by a value of choice; hover shows predictions, click
// locks the position.
import { h, tipFor } from "./dom";
import {
  diverging,
  exact,
  max,
  percent,
  raw,
  sequential,
  signed,
  token,
  tokenParts,
  tokenText,
} from "./format";
import { go } from "./state";
import { activation, quantityChoice } from "./activation";
import type { Context } from "./view";
import { asked, question } from "./view";
import type { Predict } from "./types";

interface Values {
  v: (number | null)[];
  colour: (x: number) => string;
  low: string;
  high: string;
  say: (x: number, i: number) => string;
  more?: HTMLElement; // of the head: which number
}

/**
 * Losses: the token's own. Fragility: 0 where a change as large as the stream itself is needed, 1
 * at a ten-thousandth of it.
 */
function losses(p: Predict): Values {
  return {
    v: p.losses,
    colour: (x) => sequential(x / 8),
    low: "expected",
    high: "surprising",
    say: (x) => `loss ${x.toFixed(3)} nats`,
  };
}
async function margins(c: Context): Promise<Values> {
  const m = await c.server.call("margins", c.prompt, c.signal, c.progress);
  const v = (m.margins ?? []).map((x) => x?.relative ?? null);
  return {
    v,
    colour: (x) => sequential(-Math.log10(Math.max(x, 1e-9)) / 4),
    low: "firm",
    high: "fragile",
    say: (x) => `neurons change after ${percent(x)} of the stream`,
  };
}
async function attribution(c: Context): Promise<Values> {
  const a = await c.server.call("attribute", question(c, { top: 400 }), c.signal, c.progress);
  const v: (number | null)[] = c.read.tokens.map(() => null);
  // Behind the position stand a word's own tokens, not the prompt's.
  for (const t of a.total.terms)
    if (t.kind === "embedding" && (!a.phrase || t.position <= c.pos)) v[t.position] = t.effect;
  const most = max(v.map((x) => x ?? 0));
  return {
    v,
    colour: (x) => diverging(x / most),
    low: "against",
    high: "for",
    say: (x) => `total effect ${signed(x)} on ${asked(a)}`,
  };
}
async function neuron(c: Context): Promise<Values> {
  const a = await activation(c);
  return {
    v: a.v,
    colour: (x) => diverging(x / a.most),
    low: signed(-a.most, 3),
    high: signed(a.most, 3),
    say: (_x, i) => a.say(i),
    more: h(
      "span.row",
      {},
      quantityChoice(c),
      h("span", {}, `chosen at ${a.fired} of ${a.v.length}`),
    ),
  };
}

function predictions(p: Predict, i: number, values: Values) {
  const own = values.v[i];
  return [
    h("div", {}, h("strong", {}, `position ${i} `), token(p.tokens[i])),
    own !== null && own !== undefined ? h("div", {}, values.say(own, i)) : null,
    h(
      "table",
      {},
      p.predictions[i]
        .slice(0, 6)
        .map((t) =>
          h(
            "tr",
            {},
            h("td", {}, token(t)),
            h("td.num", {}, percent(t.probability)),
            h("td.num", {}, signed(t.logit, 2)),
          ),
        ),
    ),
  ];
}

function legend(v: Values, both: boolean) {
  const swatch = (x: number) =>
    h("span", {
      css: {
        background: both ? diverging(x) : sequential(x),
        width: "14px",
        height: "14px",
        display: "inline-block",
        borderRadius: "3px",
      },
    });
  return h(
    "span.legend",
    {},
    v.low,
    (both ? [-1, -0.5, 0, 0.5, 1] : [0.1, 0.3, 0.5, 0.75, 1]).map(swatch),
    v.high,
  );
}

export async function strip(c: Context, el: HTMLElement) {
  const choice = c.state.colour;
  const values =
    choice === "attribution"
      ? await attribution(c)
      : choice === "margin"
        ? await margins(c)
        : choice === "neuron"
          ? await neuron(c)
          : losses(c.read);
  if (c.signal.aborted) return;
  const options = [
    ["loss", "loss"],
    ["margin", "gate margin"],
    ["attribution", "attribution"],
    ["neuron", `neuron ${c.state.tinted.replaceAll(".", " · ")}`],
  ].filter(([k]) => k !== "margin" || c.info.model.router);
  const p = c.read;
  const counted = p.losses.filter((x): x is number => x !== null);
  const mean = counted.reduce((a, x) => a + x, 0) / (counted.length || 1);
  const focus = document.activeElement?.classList.contains("tok");
  el.replaceChildren(
    h(
      "div.strip-head",
      {},
      h(
        "label",
        { for: "colour" },
        "colour by ",
        h(
          "select",
          {
            id: "colour",
            onchange: (e: Event) => go({ colour: (e.target as HTMLSelectElement).value }),
          },
          options.map(([k, t]) => h("option", { value: k, selected: k === choice }, t)),
        ),
      ),
      values.more,
      legend(values, choice === "attribution" || choice === "neuron"),
      h(
        "span",
        {},
        `${p.tokens.length} tokens, mean loss `,
        h("span", { id: "mean-loss", title: exact(mean) }, mean.toFixed(3)),
      ),
    ),
    h(
      "div.tokens",
      { role: "group", "aria-label": "tokens; arrow keys move" },
      p.tokens.map((t, i) => {
        const v = values.v[i];
        const b = h(
          "button.tok",
          {
            type: "button",
            "aria-pressed": i === c.pos ? "true" : "false",
            tabindex: i === c.pos ? 0 : -1,
            "data-pos": i,
            "data-value": v ?? undefined,
            "aria-label": `position ${i}: ${tokenText(raw(t))}`,
            onclick: () => go({ pos: i }),
            css: v === null || v === undefined ? {} : { background: values.colour(v) },
          },
          tokenParts(raw(t)),
        );
        return [tipFor(b, () => predictions(p, i, values)), t.text.includes("\n") ? h("br") : null];
      }),
    ),
  );
  const locked = el.querySelector<HTMLElement>("[aria-pressed=true]");
  locked?.scrollIntoView({ block: "nearest", inline: "center" });
  if (focus) locked?.focus({ preventScroll: true });
}
