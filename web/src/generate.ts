// generate.ts: what the model writes behind the position, as it comes: plain, and beside it the
// same draws under edits.
import { h } from "./dom";
import { tokenText } from "./format";
import { go, keep } from "./state";
import type { Generate } from "./types";
import { button, note, term } from "./parts";
import type { Context } from "./view";

export const fields = {
  seed: 0,
  heat: 0.8, // temperature
  most: 48, // tokens
  written: 0, // 1: a text stands there
};

export interface Way {
  title: string;
  id: string;
  extra: object; // of the request: edits, steer
}

/** The prompt up to the position. */
function front(c: Context) {
  const T = c.read.tokens.length;
  if (c.pos === T - 1) return c.prompt;
  return { ids: c.read.tokens.slice(0, c.pos + 1).map((t) => t.id), bos: false };
}

const MOST = 512;
const inside = (x: number, low: number, high: number) => Math.min(high, Math.max(low, x));

function request(c: Context, way: Way) {
  const s = c.state;
  return {
    ...front(c),
    max_tokens: inside(Math.round(s.most), 1, MOST),
    temperature: inside(s.heat, 0, 100),
    seed: inside(Math.round(s.seed), 0, Number.MAX_SAFE_INTEGER),
    ...way.extra,
  };
}

const ended: Record<Generate["reason"], string> = {
  eos: "the model ended the text here",
  length: "as long as asked",
  context: "the context is full",
};

/** The text; from where it leaves the other on it is marked. */
function shown(text: string, other: string | undefined) {
  if (other === undefined || other === text) return [text];
  let k = 0;
  while (k < text.length && text[k] === other[k]) k++;
  return [text.slice(0, k), h("mark", {}, text.slice(k))];
}

function numberField(
  id: "seed" | "heat" | "most",
  label: Node | string,
  props: object,
  now: number,
) {
  const onchange = (e: Event) => go({ [id]: Number((e.target as HTMLInputElement).value) }, true);
  return h(
    "label",
    { for: `write-${id}` },
    label,
    h("input", { id: `write-${id}`, type: "number", value: now, onchange, ...props }),
  );
}

/** A panel that writes every way, one after the other; it can be stopped. */
export function writing(c: Context, ways: () => Way[]) {
  const out = h("div.pair.written");
  let abort: AbortController | null = null;

  const one = async (way: Way, first: string | undefined, signal: AbortSignal) => {
    const text = h("p.mono.text", { id: `written-${way.id}`, "aria-busy": "true" });
    const foot = h("p.note", {}, "…");
    out.append(h("div", {}, h("h3", {}, way.title), text, foot));
    let n = 0;
    try {
      const piece = (part: string, tokens: number) => {
        n = tokens;
        text.append(part);
      };
      const progress = () => undefined;
      const r = await c.server.call("generate", request(c, way), signal, progress, piece);
      text.replaceChildren(...shown(r.text, first));
      foot.textContent = `${r.ids.length} tokens: ${ended[r.reason]}`;
      text.dataset.ids = r.ids.join(",");
      return r.text;
    } catch (e) {
      foot.textContent = signal.aborted ? `stopped after ${n} tokens` : (e as Error).message;
      if (signal.aborted) throw e;
      return undefined;
    } finally {
      text.setAttribute("aria-busy", "false");
    }
  };
  const run = async () => {
    abort?.abort();
    const own = new AbortController();
    abort = own;
    c.signal.addEventListener("abort", () => own.abort());
    out.replaceChildren();
    act.textContent = "stop";
    keep({ written: 1 });
    let first: string | undefined;
    for (const way of ways()) {
      const text = await one(way, first, own.signal).catch(() => undefined);
      if (own.signal.aborted) break;
      first ??= text;
    }
    if (abort === own) abort = null;
    if (!abort) act.textContent = "write on";
  };
  const act = button(
    "write on",
    () => {
      if (abort) abort.abort();
      else run();
    },
    { id: "write" },
  );
  const heat = term("temperature", "0: always the likeliest token; above 1 more varied");
  const seed = term("seed", "the same seed draws the same: sgatlin generate --seed");
  return {
    element: h(
      "div.card",
      { id: "writing" },
      h(
        "h2",
        {},
        "What the model writes behind ",
        h("span.mono", {}, tokenText(c.read.tokens[c.pos].text)),
      ),
      c.server.recorded
        ? null
        : h(
            "div.row",
            {},
            act,
            numberField("seed", seed, { min: 0, step: 1 }, c.state.seed),
            numberField("heat", heat, { min: 0, max: 100, step: 0.1 }, c.state.heat),
            numberField("most", "tokens", { min: 1, max: MOST, step: 1 }, c.state.most),
          ),
      out,
      note(
        "Drawn as by sgatlin generate: of one seed every column draws the same, so texts part " +
          "only where the model does.",
      ),
    ),
    /** Once the panel stands; a text that the address holds is written again. */
    start: () => (c.state.written ? run() : Promise.resolve()),
  };
}
