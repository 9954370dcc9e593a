// view_facts.ts: known facts, and how far one noun's gates, put into another's run, move what
// follows.
import { h, rove, table } from "./dom";
import { bar, count, token } from "./format";
import { go } from "./state";
import type { Facts, Patch, PatchPair, Requests } from "./types";
import { button, card, choice, note as plain, number, toggle } from "./parts";
import type { Context, View } from "./view";

export const fields = {
  facts: "", // type
  pair: "", // "clean|counterfactual", or all
  patched: "noun", // or last
};

/** All choices of layers where they are few; else each alone, the first, the last, all. */
export function layerSets(L: number): number[][] {
  const all = Array.from({ length: L }, (_, l) => l);
  const sets: number[][] = all.map((l) => [l]);
  if (L <= 4) {
    for (let bits = 1; bits < 1 << L; bits++) {
      const set = all.filter((l) => bits & (1 << l));
      if (set.length > 1) sets.push(set);
    }
    return sets.sort((a, b) => a.length - b.length || a.join().localeCompare(b.join()));
  }
  const some = all.slice(0, 20);
  return [...sets.slice(0, 40), ...some.slice(1, -1).map((l) => all.slice(0, l + 1)), all];
}

const recovers = (r: PatchPair) => r.correct_clean && r.correct_counterfactual;

/** Each row: a pair's numbers in a set of layers. Where a fact is not known there is nothing to
 * recover. */
function pairRows(rows: { layers: number[]; r: PatchPair }[]) {
  const part = (r: PatchPair) => (recovers(r) ? (r.recovered_effect ?? 0) : 0);
  const most = Math.max(1, ...rows.map((x) => Math.abs(part(x.r))));
  return table(
    ["layers", ">d clean", ">d counterfactual", ">d patched", ">recovered", "", "rank flips"],
    rows.map(({ layers, r }) => [
      layers.join(", "),
      number(r.logitdiff_clean),
      number(r.logitdiff_counterfactual),
      number(r.logitdiff_intervened),
      recovers(r) ? number(r.recovered_effect) : "–",
      bar(part(r), most),
      r.rank_flip ? "yes" : "no",
    ]),
    "patched runs by layers",
  );
}

/** Each row: the figures of all known pairs in a set of layers, and the reference's mean. */
function allRows(runs: Patch["runs"]) {
  const most = Math.max(1, ...runs.map((x) => Math.abs(x.known.recovered_effect ?? 0)));
  const share = (x: number | null) => (x === null ? "–" : `${(100 * x).toFixed(1)} %`);
  return table(
    [
      "layers",
      ">d clean",
      ">d patched",
      ">recovered",
      "",
      ">median",
      ">reference's mean",
      "rank flips",
    ],
    runs.map(({ layers, known, mean }) => [
      layers.join(", "),
      number(known.logitdiff_clean),
      number(known.logitdiff_intervened),
      number(known.recovered_effect),
      bar(known.recovered_effect ?? 0, most),
      number(known.median_recovered),
      number(mean.recovered_effect),
      share(known.rank_flip),
    ]),
    "all patched runs by layers",
  );
}

const note = () =>
  h(
    "p.note",
    {},
    "d: log-sum-exp of the clean noun's answers less that of the other's. Recovered: " +
      "0 where the other noun's gates change nothing, 1 where they move the prediction " +
      "all the way. The rank flips where d patched is below 0.",
  );

function pairCard(p: Patch, clean: string, other: string) {
  const rows = p.runs.flatMap((run) =>
    (run.pairs ?? []).filter((x) => x.clean === clean).map((r) => ({ layers: run.layers, r })),
  );
  const answers = (noun: string) =>
    p.prompts
      .filter((x) => x.noun === noun)
      .flatMap((x) => x.answers.map((a) => ("id" in a ? token(a) : token({ ...a, id: a.ids[0] }))));
  if (!rows.length)
    return h(
      "div.card",
      {},
      h(
        "p",
        {},
        "The prompts of these two nouns differ in length: their gates cannot be exchanged.",
      ),
    );
  const right = rows[0].r;
  return h(
    "div.card.fold",
    {},
    h("h2", {}, `${clean} with the gates of ${other}`),
    h(
      "p",
      {},
      `${clean} → `,
      answers(clean),
      right.correct_clean ? " (known)" : " (not known)",
      `; ${other} → `,
      answers(other),
      right.correct_counterfactual ? " (known)" : " (not known)",
    ),
    pairRows(rows),
    recovers(right)
      ? null
      : h("p.note", {}, "The model does not know both facts: there is nothing to recover."),
    note(),
  );
}

function allCard(p: Patch) {
  return h(
    "div.card.fold",
    {},
    h("h2", {}, `${count(p.n_known)} pairs whose facts the model both knows`),
    allRows(p.runs),
    h(
      "p.note",
      {},
      `${count(p.distinct)} of ${count(p.nouns)} nouns share no answer, ` +
        `${count(p.prompts.length)} of them can be compared: ${count(p.n_pairs)} pairs. ` +
        `${count(p.n_pairs - p.n_known)} are left out, since the model does not know both ` +
        "facts. Recovered is the ratio of the sums, median that of the pairs' own ratios. The " +
        "reference's mean is that of the ratios of all pairs, known or not: the few with a " +
        "denominator near 0 may decide it.",
    ),
    note(),
  );
}

/** The two nouns of the address, empty where no fact is known of them. */
function chosen(c: Context, f: Facts): [string, string] {
  const nouns = f.nouns.map((n) => n.noun);
  const [a, b] = c.state.pair.split("|");
  return [nouns.includes(a) ? a : "", nouns.includes(b) ? b : ""];
}

/** Tokens are compared by their logits; words of several by the probability along them. */
function words(f: Facts, ...pair: string[]) {
  const single = f.nouns.filter((n) => n.single).map((n) => n.noun);
  const alone = pair.length ? pair.every((x) => single.includes(x)) : single.length > 1;
  return alone ? {} : { words: true };
}

function choices(c: Context, f: Facts, clean: string, other: string) {
  const nouns = ["", ...f.nouns.map((n) => n.noun)];
  const named = nouns.map((x): [string, string] => [x, x || "–"]);
  const all = c.state.pair === "all";
  return h(
    "div.row.toolbar",
    {},
    f.types.length
      ? choice("fact-type", "facts about ", f.types, f.type, (v) => go({ facts: v, pair: "" }))
      : null,
    choice("clean", "clean noun ", named, clean, (v) => go({ pair: `${v}|${other}` })),
    choice("counterfactual", "with the gates of ", named, other, (v) =>
      go({ pair: `${clean}|${v}` }),
    ),
    choice("patched", "at the ", ["noun", "last"], c.state.patched, (v) => go({ patched: v })),
    clean && other ? button("swap", () => go({ pair: `${other}|${clean}` })) : null,
    toggle("all pairs", all, () => go({ pair: all ? "" : "all" })),
  );
}

function known(f: Facts, clean: string, other: string) {
  const rows = f.nouns.slice(0, 400).map((n) => [
    h(
      "span",
      {},
      `${f.before}${n.noun}${f.after} `,
      h("strong", {}, n.answers.map((a) => a.answer).join(", ")),
    ),
    n.answers.map((a) => count(a.count)).join(", "),
    h(
      "span",
      {},
      h(
        "button.link",
        {
          type: "button",
          onclick: () => go({ pair: `${n.noun}|${other === n.noun ? "" : other}` }),
        },
        "as clean",
        h("span.hidden", {}, ` ${n.noun}`),
      ),
      h("span.soft", { "aria-hidden": "true" }, " · "),
      h(
        "button.link",
        {
          type: "button",
          onclick: () => go({ pair: `${clean === n.noun ? "" : clean}|${n.noun}` }),
        },
        "as other",
        h("span.hidden", {}, ` ${n.noun}`),
      ),
    ),
  ]);
  return h(
    "div.card",
    {},
    h("h2", {}, `Known facts (${count(f.nouns.length)} nouns)`),
    rove(h("div.facts", {}, table(["fact", ">said", "take it"], rows, "known facts")), "button"),
  );
}

interface Data {
  f: Facts;
  p: Patch | null;
}

export const facts: View<Data> = {
  name: "facts",
  title: "Facts",
  needsPrompt: false,
  about: "what a noun’s gates carry: known facts and patched runs",
  letter: "f",
  missing: (info) =>
    info.facts
      ? null
      : "No facts are open. Start the explorer with --worlds DIR, a corpus that sgatlin data " +
        "worlds wrote, or with --facts FILE from sgatlin facts mine.",
  async load(c) {
    const type = c.state.facts ? { type: c.state.facts } : {};
    const f = await c.server.call("facts", type, c.signal);
    const [clean, other] = chosen(c, f);
    const at = c.state.patched === "last" ? { at: "last" as const } : {};
    const request = { ...type, layers: layerSets(c.info.model.layers), ...at };
    const ask = (r: Requests["patch"]) => c.server.stay("patch", r, c.signal, c.progress);
    if (c.state.pair === "all") return { f, p: await ask({ ...request, ...words(f) }) };
    if (!clean || !other || clean === other) return { f, p: null };
    const pair = { ...request, clean, counterfactual: other, ...words(f, clean, other) };
    return { f, p: await ask(pair) };
  },
  draw(c, { f, p }) {
    const [clean, other] = chosen(c, f);
    const all = c.state.pair === "all";
    const intro = plain(
      "Take two nouns: the prompt of the first is run with the neurons that the second’s would " +
        "choose, in each choice of layers. If the answer moves, those layers’ gates carry the " +
        "fact.",
    );
    return {
      body: [
        choices(c, f, clean, other),
        card(h("h2", {}, "What do a noun's gates carry?"), intro),
        p && (all ? allCard(p) : pairCard(p, clean, other)),
        known(f, clean, other),
      ],
      key(key) {
        const [a, b] = c.state.pair.split("|");
        if (key === "a") go({ pair: all ? "" : "all" });
        if (key === "s" && a && b) go({ pair: `${b}|${a}` });
        if (key === "n") document.getElementById("clean")?.focus();
        return ["a", "s", "n"].includes(key);
      },
    };
  },
};
