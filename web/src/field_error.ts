// field_error.ts: an error of a field stands under it, and the field keeps what was typed; where
// the error lists tokens, each can be taken.
import { h } from "./dom";
import { tokenText } from "./format";

/** Tokens that a message offers: "... (\"a\", \"b\")". */
export function offered(message: string): string[] {
  const list = /\(((?:"(?:[^"\\]|\\.)*"(?:, )?)+)/.exec(message)?.[1] ?? "";
  return [...list.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map((m) => m[1]);
}

/** Shows it under its field; false where it names none that is there. */
export function fieldError(e: unknown): boolean {
  const said = /^"(\w+)": (.*)$/s.exec((e as Error).message);
  const key = said?.[1] === "targets" ? "target" : said?.[1];
  const box = document.getElementById(`box-${key}`);
  if (!said || !(box instanceof HTMLInputElement)) return false;
  const id = `${box.id}-error`;
  document.getElementById(id)?.remove();
  box.setAttribute("aria-invalid", "true");
  box.setAttribute("aria-describedby", id);
  const take = (text: string) => {
    box.value = text;
    box.dispatchEvent(new Event("change"));
  };
  const chips = offered(said[2]).map((t) =>
    h("button.small.mono", { type: "button", onclick: () => take(t) }, tokenText(t)),
  );
  (box.closest(".row") ?? box).after(
    h("p.field-error", { id, role: "alert" }, said[2], " ", chips),
  );
  return true;
}
