// api.ts: calls of the server: the token in a header, progress by server-sent events, cancel by
// hanging up. The page makes one Server and hands it on (app.ts); it holds all answers.
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

export interface Answer {
  call: string;
  request: object;
  answer: unknown;
}
/** What a page saved as one file (export.ts) carries. */
export interface Recorded {
  hash: string;
  info: T.Info;
  answers: Answer[];
}
/** Who waits for an answer. */
interface Waiter {
  signal: AbortSignal | undefined;
  progress: Progress | undefined;
  piece: Piece | undefined;
}
interface Flight {
  answer: Promise<unknown>;
  progress: Progress | undefined;
}

const KEPT = 60; // answers
const keyOf = (name: string, body: object) => `${name} ${JSON.stringify(body)}`;
const openedKey = (name: string) => `opened ${name}`;
/** Calls whose answers grow: asked for again and again, never from what was kept. */
const growing = (name: string) => name === "metrics" || name === "study" || name === "factors";

export class Server {
  /** A saved page carries its answers and asks nobody; null: there is a server. */
  readonly recorded: Recorded | null;
  private secret = "";
  private readonly kept = new Map<string, unknown>();
  private readonly used = new Map<string, Answer>(); // since forget()
  private readonly names = new Set<string>(); // of calls, since forget()
  private readonly flights = new Map<string, Flight>();

  constructor(recorded: Recorded | null) {
    this.recorded = recorded;
    for (const a of recorded?.answers ?? []) this.kept.set(keyOf(a.call, a.request), a.answer);
  }

  /**
   * The token stands in the address that sgatlin printed; it is kept for this tab and taken out of
   * the address.
   */
  takeToken() {
    if (this.recorded) {
      if (location.hash.length < 2) history.replaceState(null, "", `#${this.recorded.hash}`);
      return;
    }
    const hash = new URLSearchParams(location.hash.slice(1));
    const given = hash.get("token");
    if (given) {
      sessionStorage.setItem("token", given);
      hash.delete("token");
      history.replaceState(null, "", `#${hash}`);
    }
    this.secret = sessionStorage.getItem("token") ?? "";
  }

  async info(): Promise<T.Info> {
    if (this.recorded) return this.recorded.info;
    const r = await fetch("/api/info", { headers: { "X-Sgatlin-Token": this.secret } });
    return r.ok ? r.json() : failure(r);
  }

  /** An answer that came from a file: call() finds it, and export takes it along. */
  keep<K extends keyof Calls>(name: K, body: Asked[K], answer: Calls[K]) {
    this.kept.set(keyOf(name, body), answer);
  }
  isKept<K extends keyof Calls>(name: K, body: Asked[K]) {
    return this.kept.has(keyOf(name, body));
  }

  /** An opened file lives as long as its tab, through reloads where the browser has room. */
  keepOpened(name: string, answer: T.Graph) {
    this.keep("opened", { name }, answer);
    const key = openedKey(name);
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
  fragile(name: string) {
    if (this.recorded || !this.isKept("opened", { name })) return false;
    return sessionStorage.getItem(openedKey(name)) === null;
  }
  isOpened(name: string): boolean {
    if (this.isKept("opened", { name })) return true;
    const text = this.recorded ? null : sessionStorage.getItem(openedKey(name));
    if (text === null) return false;
    this.keep("opened", { name }, JSON.parse(text) as T.Graph);
    return true;
  }

  /** What the view asked for since forget(), for export. */
  answers() {
    return [...this.used.values()].filter((a) => this.names.has(a.call));
  }
  /** Lines of a run are asked for once, so they are remembered for the next time. */
  forget() {
    this.names.clear();
    for (const [k, a] of this.used) if (a.call !== "metrics") this.used.delete(k);
  }
  /** What many answers have made together, for export, in place of them. */
  remember<K extends keyof Calls>(name: K, body: Asked[K], answer: Calls[K]) {
    this.used.set(keyOf(name, body), { call: name, request: body, answer });
    this.names.add(name);
  }

  /** As fetched, or as kept, and noted. */
  async call<K extends keyof Calls>(
    name: K,
    body: Asked[K],
    signal?: AbortSignal,
    progress?: Progress,
    piece?: Piece,
  ): Promise<Calls[K]> {
    const answer = await this.ask(name, body, { signal, progress, piece });
    if (!signal?.aborted && name !== "study") this.remember(name, body, answer);
    return answer;
  }

  /**
   * A call that goes on when its view is left: whoever comes back waits for the same answer. Only
   * the waiting ends with the signal.
   */
  async stay<K extends keyof Calls>(
    name: K,
    body: Asked[K],
    signal: AbortSignal,
    progress?: Progress,
  ): Promise<Calls[K]> {
    const key = keyOf(name, body);
    let flight = this.flights.get(key);
    if (!flight) {
      const made: Flight = { answer: Promise.resolve(), progress };
      made.answer = this.call(name, body, undefined, (part, what) => made.progress?.(part, what));
      const landed = () => this.flights.delete(key);
      made.answer.then(landed, landed);
      this.flights.set(key, made);
      flight = made;
    }
    flight.progress = progress;
    const left = new Promise<never>((_, fail) =>
      signal.addEventListener("abort", () => fail(new DOMException("left", "AbortError"))),
    );
    const answer = (await Promise.race([flight.answer, left])) as Calls[K];
    this.remember(name, body, answer);
    return answer;
  }

  /** Answers of a model do not change: the last ones are kept, so back and forward cost nothing. */
  private async ask<K extends keyof Calls>(name: K, body: Asked[K], waiter: Waiter) {
    const { signal, progress, piece } = waiter;
    const key = keyOf(name, body);
    const cache = !growing(name) || this.recorded !== null;
    if (cache && this.kept.has(key)) return this.kept.get(key) as Calls[K];
    if (this.recorded)
      throw new Error(
        "This saved page holds one view, read only. Open the model with sgatlin explore " +
          "to ask further; back returns.",
      );
    const headers: Record<string, string> = {
      "Content-Type": "application/json",
      "X-Sgatlin-Token": this.secret,
    };
    if (progress) headers.Accept = "text/event-stream";
    const sent = { method: "POST", headers, body: JSON.stringify(body), signal };
    const r = await fetch(`/api/${name}`, sent);
    if (!r.ok) return failure(r);
    const answer = progress
      ? await events<Calls[K]>(r, progress, piece)
      : ((await r.json()) as Calls[K]);
    if (cache) {
      this.kept.set(key, answer);
      if (this.kept.size > KEPT) this.kept.delete(this.kept.keys().next().value as string);
    }
    return answer;
  }
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
