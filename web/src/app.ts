// app.ts: the page: prompt, strip, views, keys.
import { call, forget, info as askInfo, recorded, takeToken } from "./api";
import { documentBar, documentKey, showDocument } from "./documents";
import { by, h, hideTip } from "./dom";
import { applyStatic, exportDialog } from "./export";
import { count, rawText } from "./format";
import { go, onChange, read } from "./state";
import { strip } from "./strip";
import { needsModel, openFile, withoutModel } from "./opened";
import type { Info } from "./types";
import type { Context, Loaded, View } from "./view";
import { attention } from "./view_attention";
import { corpus } from "./view_corpus";
import { circuit } from "./view_circuit";
import { compare } from "./view_compare";
import { facts } from "./view_facts";
import { graph } from "./view_graph";
import { lens } from "./view_lens";
import { map } from "./view_map";
import { neuron } from "./view_neuron";
import { predictions } from "./view_predictions";
import { steer } from "./view_steer";
import { training } from "./view_training";

const views: View[] = [
  predictions,
  circuit,
  graph,
  attention,
  lens,
  steer,
  neuron,
  corpus,
  training,
  map,
  facts,
  compare,
];
const viewKey = (i: number) => views[i].letter ?? (i < 9 ? String(i + 1) : "");
const keys: [string, string][] = [
  ["/", "write the prompt"],
  ["← →", "move the locked position"],
  ["Tab", "next control; in long lists ↑ ↓ move on"],
  ["Esc", "leave a field, close this"],
  ["↑ ↓", "attention: layer; graph: along the strongest edge"],
  ["p x g r", "graph: pin a node, hold it, group what is held, name it"],
  ["← ↑ → ↓ + − 0", "map: move, zoom, show all"],
  ["l s", "map: lasso, search"],
  ["n s a", "facts: choose nouns, swap them, all pairs"],
  ["o , .", "compare: second prompt, its position"],
  ["[ ]", "previous, next document (--data)"],
  ["?", "this help"],
];
let info: Info;
let abort = new AbortController();
let context: Context | null = null;

const prompt = by("prompt") as HTMLTextAreaElement;
function fit() {
  prompt.style.height = "auto";
  prompt.style.height = `${prompt.scrollHeight + 2}px`;
}

function wait(panel: HTMLElement) {
  let bar: HTMLElement | null = null;
  const words = h("p.note.wait", {}, "reading …");
  let last: [number, string] | null = null; // told before the words are there
  const before = panel.firstChild; // a view that shows itself and goes on asking is not covered
  const timer = setTimeout(() => {
    if (panel.firstChild !== before) return;
    panel.replaceChildren(h("div.card", {}, words));
    if (last) progress(...last);
  }, 150);
  const progress = (part: number, what: string) => {
    last = [part, what];
    if (!words.isConnected) return;
    bar ??= h("progress", { max: 1, "aria-label": what });
    if (!bar.isConnected)
      words.after(
        bar,
        h(
          "button.small",
          {
            type: "button",
            onclick: () => {
              abort.abort();
              panel.replaceChildren(h("div.card", {}, h("p", {}, "Stopped.")));
            },
          },
          "Stop",
        ),
      );
    (bar as HTMLProgressElement).value = part;
    words.textContent = what;
  };
  return { done: () => clearTimeout(timer), progress };
}

function fail(panel: HTMLElement, e: unknown) {
  panel.replaceChildren(
    h(
      "div.card.error",
      { role: "alert" },
      h("h2", {}, "That did not work"),
      h("p", {}, (e as Error).message),
    ),
  );
}

function tabs(view: View) {
  by("tabs").replaceChildren(
    ...views.map((v, i) =>
      h(
        "button",
        {
          type: "button",
          "aria-current": v === view ? "page" : undefined,
          title: `${v.about}${viewKey(i) ? ` (key ${viewKey(i)})` : ""}`,
          onclick: () => go({ view: v.name }),
        },
        v.title,
      ),
    ),
  );
  const list = by("tabs");
  const on = list.querySelector<HTMLElement>("[aria-current]");
  if (on)
    list.scrollLeft = on.offsetLeft - list.offsetLeft - (list.clientWidth - on.offsetWidth) / 2;
}

/** Before a text is there: what can be seen, and where. */
function welcome() {
  const missing = (v: View) =>
    ["corpus", "map"].includes(v.name) && !info.recording
      ? "needs --recording"
      : v.name === "facts" && !info.facts
        ? "needs --worlds or --facts"
        : v.name === "training" && !info.run
          ? "needs a run"
          : "";
  const texts = info.tokenizer
    ? ["Once upon a time, there was a", "The little dog was"]
    : ["5 6 7"];
  return [
    h(
      "div.card",
      {},
      h("h2", {}, "Type a text above"),
      h(
        "p",
        {},
        "You will see what the model predicts after every token, and can walk from " +
          "any prediction to the neurons that made it. Or begin with",
      ),
      h(
        "div.row",
        {},
        texts.map((t) =>
          h("button", { type: "button", onclick: () => go({ text: t, pos: -1 }) }, t),
        ),
      ),
    ),
    h(
      "ul.welcome",
      {},
      views.map((v, i) =>
        h(
          "li",
          {},
          h(
            "button",
            { type: "button", onclick: () => go({ view: v.name }) },
            h(
              "span.row.spread",
              {},
              h("strong", {}, v.title),
              viewKey(i) ? h("kbd", {}, viewKey(i)) : null,
            ),
            h("span.soft", {}, v.about),
            missing(v) ? h("span.missing", {}, missing(v)) : null,
          ),
        ),
      ),
    ),
  ];
}

const current = () => views.find((v) => v.name === read().view) ?? predictions;

function request(text: string): object {
  return info.tokenizer
    ? { text }
    : {
        ids: text
          .split(/[\s,]+/)
          .filter(Boolean)
          .map(Number),
      };
}

async function render() {
  abort.abort();
  abort = new AbortController();
  hideTip();
  const { signal } = abort;
  const state = read();
  const panel = by("view");
  const view = current();
  if (document.activeElement !== prompt) prompt.value = state.text;
  fit();
  showDocument();
  tabs(view);
  applyStatic();
  forget();
  const waiting = wait(panel);
  panel.setAttribute("aria-busy", "true");
  context = null;
  try {
    if (!info.model && view !== graph) return needsModel(panel, view.title, info.file ?? "");
    const body = request(state.text);
    const asked = state.text !== "" || view.needsPrompt;
    if (state.text === "" && view.needsPrompt) {
      by("strip").replaceChildren();
      panel.replaceChildren(...welcome());
      return;
    }
    const empty = { tokens: [], losses: [], predictions: [] };
    const answer =
      asked && info.model && state.text !== ""
        ? await call("predict", { ...body, top: 10 }, signal, waiting.progress)
        : empty;
    if (signal.aborted) return;
    const T = answer.tokens.length;
    const pos = state.pos >= 0 && state.pos < T ? state.pos : T - 1;
    const c: Context = {
      state,
      info: info as Loaded,
      prompt: body,
      read: answer,
      pos,
      signal,
      panel,
      progress: waiting.progress,
    };
    context = c;
    if (T) await strip(c, by("strip"));
    else by("strip").replaceChildren();
    if (!signal.aborted) await view.show(c);
  } catch (e) {
    if (!signal.aborted) fail(panel, e);
  } finally {
    waiting.done();
    if (!signal.aborted) panel.setAttribute("aria-busy", "false");
  }
}

function help() {
  const d = by("help") as HTMLDialogElement;
  d.replaceChildren(
    h("h2", { id: "help-title" }, "Keys"),
    h(
      "table",
      {},
      h(
        "tbody",
        {},
        views.map((v, i) =>
          h("tr", {}, h("td", {}, h("kbd", {}, viewKey(i))), h("td", {}, v.title)),
        ),
        keys.map(([k, t]) =>
          h(
            "tr",
            {},
            h(
              "td",
              {},
              k.split(" ").map((x) => [h("kbd", {}, x), " "]),
            ),
            h("td", {}, t),
          ),
        ),
      ),
    ),
    h(
      "p.note",
      {},
      "The address holds all you see, except the secret token: back and forward work, " +
        "and a saved link opens the same view of the same model.",
    ),
    h("form", { method: "dialog" }, h("button.primary", {}, "Close")),
  );
  d.showModal();
}

function onKey(e: KeyboardEvent) {
  const el = e.target as HTMLElement;
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(el.tagName);
  if (e.key === "Escape" && typing) return el.blur();
  if (typing || e.ctrlKey || e.metaKey || e.altKey || document.querySelector("dialog[open]"))
    return;
  const view = current();
  const chosen = views.findIndex((_, i) => viewKey(i) === e.key);
  if (e.key === "?") help();
  else if (e.key === "/") prompt.focus();
  else if (documentKey(e.key)) {
    /* walks */
  } else if (chosen >= 0) go({ view: views[chosen].name });
  else if (view.name === "map" && view.key && context && view.key(context, e.key)) {
    /* arrows move the map */
  } else if (
    (e.key === "ArrowLeft" || e.key === "ArrowRight") &&
    context?.read.tokens.length &&
    !el.classList.contains("scroll")
  )
    go({
      pos: Math.max(
        0,
        Math.min(context.read.tokens.length - 1, context.pos + (e.key === "ArrowLeft" ? -1 : 1)),
      ),
    });
  else if (!context || !view.key?.(context, e.key)) return;
  e.preventDefault();
}

async function start() {
  takeToken();
  onChange(render);
  addEventListener("keydown", onKey);
  by("help-button").addEventListener("click", help);
  by("save-button").addEventListener("click", () => {
    const v = current();
    exportDialog(v.name, v.title, info);
  });
  prompt.addEventListener("input", fit);
  prompt.addEventListener("keydown", (e) => {
    if (e.key === "Enter" && !e.shiftKey) {
      e.preventDefault();
      (by("prompt-form") as HTMLFormElement).requestSubmit();
    }
  });
  by("prompt-form").addEventListener("submit", (e) => {
    e.preventDefault();
    go({ text: prompt.value, doc: -1, pos: -1, pins: "", groups: "", opened: "", node: "" });
  });
  // A copy of tokens gives their text, not the marks that stand for spaces.
  addEventListener("copy", (e) => {
    const s = getSelection();
    const range = s?.rangeCount ? s.getRangeAt(0) : null;
    const at = range?.commonAncestorContainer;
    const el = at instanceof Element ? at : at?.parentElement;
    if (!range || range.collapsed || !el?.closest(".tokens, .mono, #strip")) return;
    e.clipboardData?.setData("text/plain", rawText(range.cloneContents()));
    e.preventDefault();
  });
  try {
    info = await askInfo();
    if (!info.model && !recorded) await openFile();
  } catch (e) {
    return fail(by("view"), e);
  }
  const m = info.model;
  if (!m) {
    withoutModel(info.file ?? "");
    return render();
  }
  document.title = `${m.name} · sgatlin`;
  by("model").textContent =
    `${m.name} · ${m.feedforward}, ${m.layers} layers, ` +
    `${m.channels ? `${m.channels} channels × ` : ""}${count(m.neurons)} neurons, ` +
    `${count(m.parameters)} parameters`;
  prompt.readOnly = recorded !== null;
  if (info.data !== null && !recorded) documentBar(info.data);
  if (!info.tokenizer)
    prompt.placeholder = "This model has no tokenizer: type token ids, such as 5 6 7";
  render();
}
start();
