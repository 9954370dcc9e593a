// graph_open.ts: a saved graph of the reader's: read, checked, kept for this tab alone.
import { h } from "./dom";
import type { Server } from "./api";
import { openGraph } from "./graph_groups";
import { go } from "./state";
import { button } from "./parts";

async function open(server: Server, f: File) {
  const { graph, groups } = openGraph(await f.text());
  let name = f.name; // another file of the same name is another graph
  for (let k = 2; server.isOpened(name); k++) name = `${f.name} (${k})`;
  server.keepOpened(name, graph);
  go({ opened: name, groups, pins: "", node: "", places: "", share: 1 });
}

/** A button that opens a file; what is wrong with it stands beside the button. */
export function opener(server: Server) {
  const said = h("span.note", { role: "alert" });
  const onchange = async (e: Event) => {
    const input = e.target as HTMLInputElement;
    const f = input.files?.[0];
    if (!f) return;
    try {
      await open(server, f);
    } catch (x) {
      said.textContent = (x as Error).message;
    }
    input.value = ""; // the same file can be chosen again
  };
  const file = h("input.hidden", {
    id: "open-graph",
    type: "file",
    accept: ".json,application/json",
    "aria-label": "a saved graph",
    tabindex: -1,
    onchange,
  });
  return h(
    "span",
    {},
    button("Open a saved graph", () => file.click()),
    file,
    said,
  );
}
