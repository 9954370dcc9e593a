// app.ts: the page: prompt, strip, views, keys. A change of the address renders: the text is read,
// the strip drawn where something of it changed, then the view loads and draws itself.
import { Server } from "./api";
import type { Recorded } from "./api";
import { Documents } from "./documents";
import { by, h, hideTip } from "./dom";
import { applyStatic, exportDialog } from "./export";
import { count, rawText } from "./format";
import { fieldError } from "./field_error";
import { help } from "./help";
import { go, onChange, read } from "./state";
import type { State } from "./state";
import { strip } from "./strip";
import { StudyLog } from "./study_log";
import { needsModel, openAlone, standsAlone, withoutModel } from "./opened";
import type { Info, Predict } from "./types";
import type { Context, Drawing, Loaded, View } from "./view";
import { attention } from "./view_attention";
import { beside } from "./view_beside";
import { circuit } from "./view_circuit";
import { compare } from "./view_compare";
import { corpus } from "./view_corpus";
import { directions } from "./view_directions";
import { facts } from "./view_facts";
import { feature } from "./view_feature";
import { graph } from "./view_graph";
import { lens } from "./view_lens";
import { map } from "./view_map";
import { neuron } from "./view_neuron";
import { neurons } from "./view_neurons";
import { predictions } from "./view_predictions";
import { recall } from "./view_recall";
import { steer } from "./view_steer";
import { superposition } from "./view_superposition";
import { training } from "./view_training";
import { welcome } from "./welcome";

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
  neurons,
  recall,
  directions,
  feature,
  beside,
  superposition,
];
const viewKey = (i: number) => views[i].letter ?? (i < 9 ? String(i + 1) : "");
const current = () => views.find((v) => v.name === read().view) ?? predictions;
const promptBox = () => by("prompt") as HTMLTextAreaElement;

/** What the page holds while it stands; start() makes it, and all below are given it. */
interface Page {
  server: Server;
  study: StudyLog;
  info: Info | null;
  documents: Documents | null;
  abort: AbortController; // of what is being read
  context: Context | null;
  drawing: Drawing | null; // on the screen
  stripOf: string; // what the strip was drawn from
}

function fit() {
  const prompt = promptBox();
  prompt.style.height = "auto";
  prompt.style.height = `${prompt.scrollHeight + 2}px`;
}

const PATIENCE = 150; // ms before it is said that something is being read

function wait(page: Page, panel: HTMLElement) {
  let bar: HTMLElement | null = null;
  const words = h("p.note.wait", {}, "reading …");
  let last: [number, string] | null = null; // told before the words are there
  const before = panel.firstChild; // a view that shows itself and goes on asking is not covered
  const timer = setTimeout(() => {
    if (panel.firstChild !== before) return;
    panel.replaceChildren(h("div.card", {}, words));
    if (last) progress(...last);
  }, PATIENCE);
  const stop = () => {
    page.abort.abort();
    panel.replaceChildren(h("div.card", {}, h("p", {}, "Stopped.")));
  };
  const progress = (part: number, what: string) => {
    last = [part, what];
    if (!words.isConnected) return;
    bar ??= h("progress", { max: 1, "aria-label": what });
    if (!bar.isConnected)
      words.after(bar, h("button.small", { type: "button", onclick: stop }, "Stop"));
    (bar as HTMLProgressElement).value = part;
    words.textContent = what;
  };
  return { done: () => clearTimeout(timer), progress };
}

function fail(panel: HTMLElement, e: unknown) {
  if (fieldError(e))
    return panel.replaceChildren(h("p.note", {}, "The field above says what it needs."));
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
  const list = by("tabs");
  const tab = (v: View, i: number) => {
    const title = `${v.about}${viewKey(i) ? ` (key ${viewKey(i)})` : ""}`;
    const now = v === view ? "page" : undefined;
    const onclick = () => go({ view: v.name });
    return h("button", { type: "button", "aria-current": now, title, onclick }, v.title);
  };
  const named = (v: View) =>
    h("option", { value: v.name, selected: v === view }, `${v.title}: ${v.about}`);
  const onchange = (e: Event) => go({ view: (e.target as HTMLSelectElement).value });
  // On a phone, where the row would hide most of them, a menu in its place.
  const menu = h("select", { id: "views", "aria-label": "view", onchange }, views.map(named));
  list.replaceChildren(...views.map(tab), menu);
}

function request(info: Loaded, text: string): object {
  if (info.tokenizer) return { text };
  return {
    ids: text
      .split(/[\s,]+/)
      .filter(Boolean)
      .map(Number),
  };
}

/** Reads the text; what every view is given. */
async function contextOf(page: Page, state: State, progress: Context["progress"]) {
  const { server, study } = page;
  const { signal } = page.abort;
  const info = page.info as Loaded;
  const body = request(info, state.text);
  const empty: Predict = { tokens: [], losses: [], predictions: [] };
  const asked = { ...body, top: 10 };
  const read_ = state.text ? await server.call("predict", asked, signal, progress) : empty;
  const T = read_.tokens.length;
  const pos = state.pos >= 0 && state.pos < T ? state.pos : T - 1;
  const c: Context = {
    server,
    study,
    state,
    info,
    prompt: body,
    read: read_,
    pos,
    signal,
    progress,
  };
  return c;
}

/** The strip stays as it is while nothing that it shows has changed. */
async function showStrip(page: Page, c: Context) {
  const s = c.state;
  const asked = s.colour === "attribution" ? [s.target, s.against] : [];
  const of = JSON.stringify([s.text, c.pos, s.colour, s.tinted, s.quantity, ...asked]);
  if (of === page.stripOf && by("strip").firstChild) return;
  page.stripOf = "";
  if (!c.read.tokens.length) by("strip").replaceChildren();
  else {
    // What colours the strip may be wrong while the text is not: the view says it under its field.
    const plain = { ...c, state: { ...s, colour: "loss" } };
    await strip(c, by("strip")).catch(() => (c.signal.aborted ? null : strip(plain, by("strip"))));
  }
  if (c.read.warning) by("strip").append(h("p.note.warning", { role: "status" }, c.read.warning));
  if (!c.signal.aborted) page.stripOf = of;
}

/** Controls first: an error then stands under them, and they can mend it. */
async function showView(page: Page, c: Context, view: View, panel: HTMLElement) {
  const missing = view.missing?.(c.info);
  if (missing) {
    panel.replaceChildren(h("div.card", {}, h("h2", {}, view.title), h("p", {}, missing)));
    return;
  }
  const bar = h("div", { id: "controls" });
  const body = h("div", { id: "body" });
  const parts = (list: Drawing["body"]) => list.filter((x): x is Node => x instanceof Node);
  bar.replaceChildren(...parts(view.controls?.(c) ?? []));
  const waiting = wait(page, body);
  let stands = false;
  const stand = () => {
    if (!stands) panel.replaceChildren(bar, body);
    stands = true;
  };
  const timer = setTimeout(stand, PATIENCE);
  try {
    const own = { ...c, progress: waiting.progress };
    const data = await view.load(own);
    if (c.signal.aborted) return;
    const drawing = view.draw(own, data);
    waiting.done();
    body.replaceChildren(...parts(drawing.body));
    stand();
    page.drawing = drawing;
    await drawing.shown?.();
  } catch (e) {
    if (c.signal.aborted) return;
    stand();
    fail(body, e);
  } finally {
    waiting.done();
    clearTimeout(timer);
  }
}

async function render(page: Page) {
  const state = read();
  if (page.drawing?.moved?.(state)) return;
  page.abort.abort();
  page.abort = new AbortController();
  page.context = null;
  page.drawing = null;
  hideTip();
  const { signal } = page.abort;
  const panel = by("view");
  const view = current();
  if (document.activeElement !== promptBox()) promptBox().value = state.text;
  fit();
  page.documents?.show();
  tabs(view);
  applyStatic(page.server.recorded !== null);
  page.server.forget();
  const waiting = wait(page, panel);
  panel.setAttribute("aria-busy", "true");
  try {
    const info = page.info as Info;
    if (!info.model && !standsAlone(info, view.name)) return needsModel(panel, view.title, info);
    if (state.text === "" && view.needsPrompt) {
      page.stripOf = "";
      by("strip").replaceChildren();
      panel.replaceChildren(...welcome(page.server, info as Loaded, views, viewKey));
      return;
    }
    const c = await contextOf(page, state, waiting.progress);
    if (signal.aborted) return;
    page.context = c;
    await showStrip(page, c);
    waiting.done();
    if (!signal.aborted) await showView(page, c, view, panel);
  } catch (e) {
    if (!signal.aborted) fail(panel, e);
  } finally {
    waiting.done();
    if (!signal.aborted) panel.setAttribute("aria-busy", "false");
  }
}

/** The arrow keys walk along the text, unless the view has use for them. */
function moveAlong(page: Page, key: string, el: HTMLElement) {
  const c = page.context;
  const step = key === "ArrowLeft" ? -1 : key === "ArrowRight" ? 1 : 0;
  if (!step || !c?.read.tokens.length || el.classList.contains("scroll")) return false;
  go({ pos: Math.max(0, Math.min(c.read.tokens.length - 1, c.pos + step)) });
  return true;
}

function onKey(page: Page, e: KeyboardEvent) {
  const el = e.target as HTMLElement;
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(el.tagName);
  if (e.key === "Escape" && typing) return el.blur();
  if (typing || e.ctrlKey || e.metaKey || e.altKey || document.querySelector("dialog[open]"))
    return;
  const chosen = views.findIndex((_, i) => viewKey(i) === e.key);
  const own = () => page.drawing?.key?.(e.key) ?? false;
  if (e.key === "?") help(views.map((v, i) => ({ title: v.title, key: viewKey(i) })));
  else if (e.key === "/") promptBox().focus();
  else if (chosen >= 0) go({ view: views[chosen].name });
  else if (!page.documents?.key(e.key) && !own() && !moveAlong(page, e.key, el)) return;
  e.preventDefault();
}

/** A copy of tokens gives their text, not the marks that stand for spaces. */
function onCopy(e: ClipboardEvent) {
  const s = getSelection();
  const range = s?.rangeCount ? s.getRangeAt(0) : null;
  const at = range?.commonAncestorContainer;
  const el = at instanceof Element ? at : at?.parentElement;
  if (!range || range.collapsed || !el?.closest(".tokens, .mono, #strip")) return;
  e.clipboardData?.setData("text/plain", rawText(range.cloneContents()));
  e.preventDefault();
}

function listen(page: Page) {
  const prompt = promptBox();
  onChange(() => render(page));
  addEventListener("keydown", (e) => onKey(page, e));
  addEventListener("copy", onCopy);
  by("help-button").addEventListener("click", () =>
    help(views.map((v, i) => ({ title: v.title, key: viewKey(i) }))),
  );
  by("save-button").addEventListener("click", () => {
    const v = current();
    exportDialog(page.server, v.name, v.title, page.info as Info);
  });
  prompt.addEventListener("input", fit);
  prompt.addEventListener("keydown", (e) => {
    if (e.key !== "Enter" || e.shiftKey) return;
    e.preventDefault();
    (by("prompt-form") as HTMLFormElement).requestSubmit();
  });
  by("prompt-form").addEventListener("submit", (e) => {
    e.preventDefault();
    const fresh = {
      pins: "",
      groups: "",
      places: "",
      opened: "",
      node: "",
      target: "",
      against: "",
    };
    go({ text: prompt.value, doc: -1, pos: -1, ...fresh });
  });
}

/** Name and sizes of the model. */
function told(m: Loaded["model"]) {
  const channels = m.channels ? `${m.channels} channels × ` : "";
  const name = m.name === m.feedforward ? "" : `${m.name} · `;
  return (
    `${name}${m.feedforward}, ${m.layers} layers, ${channels}${count(m.neurons)} neurons, ` +
    `${count(m.parameters)} parameters`
  );
}

async function start() {
  const saved = document.getElementById("recorded")?.textContent ?? "null";
  const server = new Server(JSON.parse(saved) as Recorded | null);
  const page: Page = {
    server,
    study: new StudyLog(server),
    info: null,
    documents: null,
    abort: new AbortController(),
    context: null,
    drawing: null,
    stripOf: "",
  };
  server.takeToken();
  listen(page);
  try {
    page.info = await server.info();
    if (!page.info.model && !server.recorded) await openAlone(server, page.info);
  } catch (e) {
    return fail(by("view"), e);
  }
  const { model, data, tokenizer } = page.info;
  if (!model) {
    withoutModel(page.info);
    return render(page);
  }
  document.title = `${model.name} · sgatlin`;
  by("model").textContent = told(model);
  by("model").title = told(model);
  const prompt = promptBox();
  prompt.readOnly = server.recorded !== null;
  if (data !== null && !server.recorded) {
    page.documents = new Documents(server, data);
    page.documents.stand();
  }
  if (!tokenizer) prompt.placeholder = "This model has no tokenizer: type token ids, such as 5 6 7";
  render(page);
}
start();
