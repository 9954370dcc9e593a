// api.ts: calls of the server: the token in a header, progress by server-sent events, cancel by
// hanging up.
import type * as T from "./types";

/** What the calls answer; "opened" is a graph's file, which no server sent. */
export interface Calls extends T.Answers {
  opened: T.Graph;
}
/** What they are asked with. */
export interface Asked extends T.Requests {
  opened: { name: string };
}
export type Progress = (part: number, what: string) => void;
/** A part of a text that is being written, as it comes. */
export type Piece = (text: string, tokens: number) => void;

/** A page saved as one file (export.ts) carries its answers and asks nobody. */
export const recorded: { hash: string; info: T.Info; answers: Answer[] } | null = JSON.parse(
  document.getElementById("recorded")?.textContent ?? "null",
);
export interface Answer {
  call: string;
  request: object;
  answer: unknown;
}

let secret = "";
/**
 * The token stands in the address that sgatlin printed; it is kept for this tab and taken out of
 * the address.
 */
export function takeToken() {
  if (recorded) {
    if (location.hash.length < 2) history.replaceState(null, "", `#${recorded.hash}`);
    return;
  }
  const hash = new URLSearchParams(location.hash.slice(1));
  const given = hash.get("token");
  if (given) {
    sessionStorage.setItem("token", given);
    hash.delete("token");
    history.replaceState(null, "", `#${hash}`);
  }
  secret = sessionStorage.getItem("token") ?? "";
}

async function failure(r: Response): Promise<never> {
  let text = `the server answered ${r.status}`;
  try {
    text = ((await r.json()) as T.Error).error;
  } catch {
    /* no JSON */
  }
  throw new Error(text);
}

export async function info(): Promise<T.Info> {
  if (recorded) return recorded.info;
  const r = await fetch("/api/info", { headers: { "X-Sgatlin-Token": secret } });
  return r.ok ? r.json() : failure(r);
}

const kept = new Map<string, unknown>();
for (const a of recorded?.answers ?? [])
  kept.set(`${a.call} ${JSON.stringify(a.request)}`, a.answer);

/** An answer that came from a file: call() finds it, and export takes it along. */
export const keep = <K extends keyof Calls>(name: K, body: Asked[K], answer: Calls[K]) =>
  kept.set(`${name} ${JSON.stringify(body)}`, answer);
export const isKept = <K extends keyof Calls>(name: K, body: Asked[K]) =>
  kept.has(`${name} ${JSON.stringify(body)}`);

/** A file that was opened lives as long as its tab, through reloads where the browser has room. */
export function keepOpened(name: string, answer: T.Graph) {
  keep("opened", { name }, answer);
  const key = `opened ${name}`;
  const text = JSON.stringify(answer);
  // The newest file has the browser's room before those opened earlier.
  const others = Object.keys(sessionStorage).filter((k) => k.startsWith("opened ") && k !== key);
  for (;;) {
    try {
      return sessionStorage.setItem(key, text);
    } catch {
      const oldest = others.shift();
      if (oldest === undefined) return; // no room: fragile() says so
      sessionStorage.removeItem(oldest);
    }
  }
}
/** It is open, and a reload will lose it: the browser had no room. */
export const fragile = (name: string) =>
  !recorded && isKept("opened", { name }) && sessionStorage.getItem(`opened ${name}`) === null;
export function isOpened(name: string): boolean {
  if (isKept("opened", { name })) return true;
  const text = recorded ? null : sessionStorage.getItem(`opened ${name}`);
  if (text === null) return false;
  keep("opened", { name }, JSON.parse(text) as T.Graph);
  return true;
}

const used = new Map<string, Answer>();
const names = new Set<string>();
/**
 * What the view asked for since forget(), for export. Lines of a run are asked for once, so they
 * are remembered for the next time.
 */
export const answers = () => [...used.values()].filter((a) => names.has(a.call));
export function forget() {
  names.clear();
  for (const [k, a] of used) if (a.call !== "metrics") used.delete(k);
}
/** Calls whose answers grow: asked for again and again, never from what was kept. */
const growing = (name: string) => name === "metrics" || name === "study" || name === "factors";
/** What many answers have made together, for export, in place of them. */
export const remember = <K extends keyof Calls>(name: K, body: Asked[K], answer: Calls[K]) =>
  note(name, body, answer);

function note(name: string, body: object, answer: unknown) {
  used.set(`${name} ${JSON.stringify(body)}`, { call: name, request: body, answer });
  names.add(name);
}
/** As fetched, or as kept, and noted. */
export async function call<K extends keyof Calls>(
  name: K,
  body: Asked[K],
  signal?: AbortSignal,
  progress?: Progress,
  piece?: Piece,
): Promise<Calls[K]> {
  const answer = await ask(name, body, signal, progress, piece);
  if (!signal?.aborted && name !== "study") note(name, body, answer);
  return answer;
}
interface Flight {
  answer: Promise<unknown>;
  progress: Progress | undefined;
}
const flights = new Map<string, Flight>();

/**
 * A call that goes on when its view is left: whoever comes back waits for the same answer. Only the
 * waiting ends with the signal.
 */
export async function stay<K extends keyof Calls>(
  name: K,
  body: Asked[K],
  signal: AbortSignal,
  progress?: Progress,
): Promise<Calls[K]> {
  const key = `${name} ${JSON.stringify(body)}`;
  let flight = flights.get(key);
  if (!flight) {
    const made: Flight = { answer: Promise.resolve(), progress };
    made.answer = call(name, body, undefined, (part, what) => made.progress?.(part, what));
    const landed = () => flights.delete(key);
    made.answer.then(landed, landed);
    flights.set(key, made);
    flight = made;
  }
  flight.progress = progress;
  const left = new Promise<never>((_, fail) =>
    signal.addEventListener("abort", () => fail(new DOMException("left", "AbortError"))),
  );
  const answer = (await Promise.race([flight.answer, left])) as Calls[K];
  note(name, body, answer);
  return answer;
}

/** Answers of a model do not change: the last ones are kept, so back and forward cost nothing. */
async function ask<K extends keyof Calls>(
  name: K,
  body: Asked[K],
  signal?: AbortSignal,
  progress?: Progress,
  piece?: Piece,
): Promise<Calls[K]> {
  const text = JSON.stringify(body);
  const key = `${name} ${text}`;
  const cache = !growing(name) || recorded !== null;
  if (cache && kept.has(key)) return kept.get(key) as Calls[K];
  if (recorded)
    throw new Error(
      "This saved page holds one view, read only. Open the model with sgatlin explore " +
        "to ask further; back returns.",
    );
  const headers: Record<string, string> = {
    "Content-Type": "application/json",
    "X-Sgatlin-Token": secret,
  };
  if (progress) headers.Accept = "text/event-stream";
  const r = await fetch(`/api/${name}`, { method: "POST", headers, body: text, signal });
  if (!r.ok) return failure(r);
  const answer = progress
    ? await events<Calls[K]>(r, progress, piece)
    : ((await r.json()) as Calls[K]);
  if (cache) {
    kept.set(key, answer);
    if (kept.size > 60) kept.delete(kept.keys().next().value as string);
  }
  return answer;
}

async function events<A>(r: Response, progress: Progress, piece?: Piece): Promise<A> {
  const reader = (r.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error("the connection ended before the answer");
    text += decoder.decode(value, { stream: true });
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const event = text.slice(7, text.indexOf("\n"));
      const data = JSON.parse(text.slice(text.indexOf("data: ") + 6, end));
      if (event === "done") return data as A;
      if (event === "error") throw new Error(data.error);
      if (event === "piece") piece?.(data.text, data.tokens);
      else progress(data.part, data.what);
    }
  }
}
