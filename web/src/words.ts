// words.ts: candidates with what follows them until a word is whole, and the boxes that name words.
import { h } from "./dom";
import { raw, tokenParts, tokenText } from "./format";
import type { Attribute, Continue, Prediction } from "./types";

type Behind = Continue["continuations"][number];

/** The token, and behind it in grey what the model goes on to write. */
export function candidate(t: Prediction, behind?: Behind) {
  const whole = t.continuation ?? behind?.continuation;
  const rest = whole?.startsWith(t.text) ? whole.slice(t.text.length) : "";
  return h(
    "span.mono.candidate",
    { title: `id ${t.id}` },
    tokenParts(raw(t)),
    rest ? h("span.rest", {}, tokenText(rest), behind && !behind.whole ? "…" : "") : null,
  );
}

/** A word as a target: its tokens by number. */
export const wordOf = (b: Behind) => `id:${[b.id, ...b.continuation_ids].join(",")}`;

/** Boxes hold numbers where a word came by a link; the answer knows its text. */
export function nameBoxes(a: Attribute) {
  const name = (id: string, text: string | undefined) => {
    const box = document.getElementById(id);
    if (box instanceof HTMLInputElement && box.value.startsWith("id:") && text) box.value = text;
  };
  name("box-target", a.phrase?.target.text ?? a.target.text);
  name("box-against", a.phrase?.against?.text ?? a.against?.text);
}
