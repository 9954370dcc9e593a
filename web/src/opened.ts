// opened.ts: a page without a model: on a graph's file, or on a study.
import type { Server } from "./api";
import { by, h } from "./dom";
import { readGraph } from "./graph_groups";
import { go, keep, read } from "./state";
import type { Info } from "./types";

/** The one view that there is then. */
const only = (info: Info) => (info.study === null ? "graph" : "training");
export const standsAlone = (info: Info, view: string) => view === only(info);

/**
 * Reads the file that the server was started on; the address then names it, as if it had been
 * opened by hand.
 */
async function openFile(server: Server): Promise<void> {
  const { name, file } = await server.call("file", {});
  const { graph, groups } = readGraph(file);
  const state = read();
  server.keep("opened", { name }, graph);
  if (state.opened !== name)
    keep({ view: "graph", text: "", opened: name, groups: state.groups || groups });
}

export async function openAlone(server: Server, info: Info): Promise<void> {
  if (info.study === null) return openFile(server);
  const first = !new URLSearchParams(location.hash.slice(1)).has("view");
  keep(first ? { view: "training", text: "" } : { text: "" });
}

const named = (info: Info) =>
  info.study === null
    ? `${info.file ?? ""} is a graph without a model`
    : `${info.study} is a study`;

/** The page around it: no prompt, the file's or the study's name in place of the model's. */
export function withoutModel(info: Info): void {
  const name = info.study ?? info.file ?? "";
  document.title = `${name} · sgatlin`;
  by("model").textContent =
    `${name} · ${info.study === null ? "a graph without a model" : "a study of many runs"}`;
  by("prompt-form").hidden = true;
}

export function needsModel(panel: HTMLElement, title: string, info: Info): void {
  const graph = info.study === null;
  panel.replaceChildren(
    h(
      "div.card",
      { id: "needs-model" },
      h("h2", {}, `${title} needs a model`),
      h(
        "p",
        {},
        `${named(info)}. Open ${graph ? "the model" : "one of its runs"} with `,
        h("code", {}, `sgatlin explore ${graph ? "MODEL" : "STUDY/runs/NAME"}`),
        graph ? "; its graph view opens this file, too." : ".",
      ),
      h(
        "div.row",
        {},
        h(
          "button",
          {
            type: "button",
            onclick: () =>
              go(graph ? { view: "graph", opened: info.file ?? "" } : { view: "training" }),
          },
          graph ? "Back to the graph" : "Back to the study",
        ),
      ),
    ),
  );
}
