// map_prompt.ts: where the typed prompt lies on the map: each position at its nearest recorded
// circuit, with how near that is.
import { h, table } from "./dom";
import { exact, raw, tokenText } from "./format";
import type { Pin } from "./map_canvas";
import { go } from "./state";
import type { Located, Map as Answer } from "./types";
import type { Context } from "./view";

/** At a distance of 1 no neuron is shared: such a position lies nowhere. */
const near = (l: Located, t: number) => l.position[t] !== null && (l.distance[t] ?? 1) < 1;

export async function locate(c: Context, request: object): Promise<Located | null> {
  return c.state.own && c.pos >= 0
    ? c.server.call("locate", { ...c.prompt, ...request }, c.signal, c.progress)
    : null;
}

export function pins(c: Context, m: Answer, l: Located | null): Pin[] {
  const at = new Map(m.position.map((p, i) => [p, i]));
  const list: Pin[] = [];
  l?.position.forEach((p, t) => {
    const i = p === null ? undefined : at.get(p);
    if (i !== undefined && near(l, t))
      list.push({ i, text: `${t} ${tokenText(raw(l.tokens[t])).slice(0, 14)}`, on: t === c.pos });
  });
  return list;
}

export function list(m: Answer, l: Located | null) {
  if (!l) return null;
  const row = (t: number) => [
    t,
    h("span.mono", {}, tokenText(raw(l.tokens[t]))),
    near(l, t)
      ? h(
          "span",
          { title: exact(l.distance[t]), "data-exact": l.distance[t] ?? "" },
          (l.distance[t] ?? 0).toFixed(3),
        )
      : "nothing alike",
    near(l, t)
      ? h(
          "button.link",
          {
            type: "button",
            onclick: () =>
              go({
                view: "corpus",
                layer: m.layer,
                place: l.position[t] ?? 0,
                find: "",
                units: "",
              }),
          },
          "its place",
          h("span.hidden", {}, ` for position ${t}`),
        )
      : "",
  ];
  return h(
    "div.card",
    {},
    h("h2", {}, "The prompt on the map"),
    h(
      "div.facts",
      {},
      table(
        ["pos", "token", ">distance", ""],
        l.tokens.map((_, t) => row(t)),
        "the prompt on the map",
      ),
    ),
    h(
      "p.note",
      {},
      "Rings: each position at the most alike of the circuits shown. The prompt was " +
        "not laid out itself: at a large distance a ring says little.",
    ),
  );
}
