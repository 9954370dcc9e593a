// api.ts: calls of the server: the token in a header, progress by server-sent events, cancel by hanging up.
import type * as T from "./types";

export interface Calls {
  predict: T.Predict; margins: T.Margins; lens: T.Lens; attention: T.Attention; attribute: T.Attribute; ablate: T.Ablate; neuron: T.Neuron;
  graph: T.Graph; metrics: T.Metrics; neighbors: T.Neighbors; together: T.Together;
  map: T.Map; place: T.Place; facts: T.Facts; patch: T.Patch;
}
export type Progress = (part: number, what: string) => void;

let secret = "";
/** The token stands in the address that sgatlin printed; it is kept for this tab and taken out of the address. */
export function takeToken() {
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
  } catch { /* no JSON */ }
  throw new Error(text);
}

export async function info(): Promise<T.Info> {
  const r = await fetch("/api/info", { headers: { "X-Sgatlin-Token": secret } });
  return r.ok ? r.json() : failure(r);
}

/** What the view on screen was made from. */
export let shown: { call: string; request: object; answer: unknown }[] = [];
export const newView = () => { shown = []; };
function show<A>(name: string, request: object, answer: A): A {
  const last = name === "metrics" || name === "place", text = JSON.stringify(request); // of these the last alone
  shown = [...shown.filter((x) => x.call !== name || (!last && JSON.stringify(x.request) !== text)), { call: name, request, answer }];
  return answer;
}

const kept = new Map<string, unknown>();
/** Answers of a model do not change: the last ones are kept, so back and forward cost nothing. */
export async function call<K extends keyof Calls>(name: K, body: object, signal?: AbortSignal, progress?: Progress): Promise<Calls[K]> {
  const text = JSON.stringify(body), key = `${name} ${text}`, cache = name !== "metrics";
  if (cache && kept.has(key)) return show(name, body, kept.get(key) as Calls[K]);
  const headers: Record<string, string> = { "Content-Type": "application/json", "X-Sgatlin-Token": secret };
  if (progress) headers.Accept = "text/event-stream";
  const r = await fetch(`/api/${name}`, { method: "POST", headers, body: text, signal });
  if (!r.ok) return failure(r);
  const answer = progress ? await events<Calls[K]>(r, progress) : ((await r.json()) as Calls[K]);
  if (cache) {
    kept.set(key, answer);
    if (kept.size > 60) kept.delete(kept.keys().next().value as string);
  }
  return show(name, body, answer);
}

async function events<A>(r: Response, progress: Progress): Promise<A> {
  const reader = (r.body as ReadableStream<Uint8Array>).getReader(), decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error("the connection ended before the answer");
    text += decoder.decode(value, { stream: true });
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const event = text.slice(7, text.indexOf("\n")), data = JSON.parse(text.slice(text.indexOf("data: ") + 6, end));
      if (event === "done") return data as A;
      if (event === "error") throw new Error(data.error);
      progress(data.part, data.what);
    }
  }
}
