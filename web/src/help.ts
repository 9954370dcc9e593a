// help.ts: the keys, in a dialog.
import { by, h } from "./dom";
import { glossary } from "./glossary";

const keys: [string, string][] = [
  ["/", "write the prompt"],
  ["← →", "move the locked position"],
  ["Tab", "next control; in long lists ↑ ↓ move on"],
  ["Esc", "leave a field, close this"],
  ["↑ ↓", "attention: layer; graph: along the strongest edge"],
  ["p x g r", "graph: pin a node, hold it, group what is held, name it"],
  ["+ − 0", "graph: zoom, show all"],
  ["← ↑ → ↓ + − 0", "map: move, zoom, show all"],
  ["l s", "map: lasso, search"],
  ["n s a", "facts: choose nouns, swap them, all pairs"],
  ["r PgUp PgDn", "neurons: any order, previous and next page"],
  [", .", "pairs: previous, next pair"],
  ["o , .", "compare: second prompt, its position"],
  ["[ ]", "previous, next document (--data)"],
  ["?", "this help"],
];

export function help(views: { title: string; key: string }[]) {
  const d = by("help") as HTMLDialogElement;
  const key = (k: string) => k.split(" ").map((x) => [h("kbd", {}, x), " "]);
  const row = (k: string, text: string) => h("tr", {}, h("td", {}, key(k)), h("td", {}, text));
  d.replaceChildren(
    h("h2", { id: "help-title", tabindex: -1, autofocus: true }, "Keys"),
    h(
      "table",
      {},
      h(
        "tbody",
        {},
        views.filter((v) => v.key).map((v) => row(v.key, v.title)),
        keys.map(([k, t]) => row(k, t)),
      ),
    ),
    h("h2", {}, "Words"),
    h(
      "dl.words",
      {},
      Object.entries(glossary).map(([k, v]) => [h("dt", {}, k), h("dd", {}, v)]),
    ),
    h(
      "p.note",
      {},
      "The address holds all you see, except the secret token: back and forward work, " +
        "and a saved " +
        "link opens the same view of the same model.",
    ),
    h("form", { method: "dialog" }, h("button.primary", {}, "Close")),
  );
  d.showModal();
  d.scrollTop = 0;
}
