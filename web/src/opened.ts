// opened.ts: a page on a graph's file, without a model.
import { call, keep as keepAnswer } from "./api";
import { by, h } from "./dom";
import { readGraph } from "./graph_groups";
import { go, keep, read } from "./state";

/**
 * Reads the file that the server was started on; the address then names it, as if it had been
 * opened by hand.
 */
export async function openFile(): Promise<void> {
  const { name, file } = await call("file", {});
  const { graph, groups } = readGraph(file);
  const state = read();
  keepAnswer("opened", { name }, graph);
  if (state.opened !== name)
    keep({ view: "graph", text: "", opened: name, groups: state.groups || groups });
}

/** The page around it: no prompt, the file's name in place of the model's. */
export function withoutModel(name: string): void {
  document.title = `${name} · sgatlin`;
  by("model").textContent = `${name} · a graph without a model`;
  by("prompt-form").hidden = true;
}

export function needsModel(panel: HTMLElement, title: string, name: string): void {
  panel.replaceChildren(
    h(
      "div.card",
      { id: "needs-model" },
      h("h2", {}, `${title} needs a model`),
      h(
        "p",
        {},
        `${name} is a graph without a model. Open the model with `,
        h("code", {}, "sgatlin explore MODEL"),
        "; its graph view opens this file, too.",
      ),
      h(
        "div.row",
        {},
        h(
          "button",
          { type: "button", onclick: () => go({ view: "graph", opened: name }) },
          "Back to the graph",
        ),
      ),
    ),
  );
}
