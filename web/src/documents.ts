// documents.ts: documents of --data as prompts: pick one, walk to the next or previous, all or
// those that hold a text.
import type { Server } from "./api";
import { by, h } from "./dom";
import { count, tokenText } from "./format";
import { go, keep, read } from "./state";

const LISTED = 12;
const find = () => read().docfind;
const filter = () => (find() ? { find: find() } : {});

export class Documents {
  private readonly server: Server;
  private readonly name: string;
  private abort = new AbortController(); // of the question that is asked
  private open = false; // the list

  constructor(server: Server, name: string) {
    this.server = server;
    this.name = name;
  }

  /** Runs one question to the server; long ones tell how far they are and can be stopped. */
  private async ask<A>(
    question: (signal: AbortSignal, progress: (part: number, what: string) => void) => Promise<A>,
  ): Promise<A | null> {
    this.abort.abort();
    this.abort = new AbortController();
    const said = by("doc-said");
    const { signal } = this.abort;
    const began = performance.now();
    said.textContent = "";
    try {
      return await question(signal, (part, what) => {
        if (signal.aborted || performance.now() - began < 200) return;
        said.replaceChildren(
          `${what}, ${(100 * part).toFixed(0)} % `,
          h(
            "button.small",
            {
              type: "button",
              onclick: () => {
                this.abort.abort();
                said.textContent = "stopped";
              },
            },
            "Stop",
          ),
        );
      });
    } catch (e) {
      if (!signal.aborted) said.textContent = (e as Error).message;
      return null;
    }
  }

  private told(total: number | null) {
    if (total !== null) by("doc-total").textContent = `of ${count(total)}`;
  }

  private async load(number: number) {
    const d = await this.ask((signal, progress) =>
      this.server.call("document", { number, ...filter() }, signal, progress),
    );
    if (!d) return;
    this.told(d.total);
    by("doc-said").textContent = d.cut
      ? `${d.from ? "a part" : "the front"} of ${count(d.bytes)} bytes`
      : "";
    go({ text: d.text, doc: d.number, pos: -1, pins: "", groups: "", opened: "" });
  }

  private async walk(step: 1 | -1) {
    const at = read().doc;
    const from = at < 0 ? 0 : at + step;
    if (from < 0) {
      by("doc-said").textContent = "this is the first";
      return;
    }
    const found = await this.ask((signal, progress) =>
      this.server.call(
        "documents",
        { from, count: 1, back: step < 0, ...filter() },
        signal,
        progress,
      ),
    );
    if (!found) return;
    this.told(found.total);
    if (found.documents.length) return this.load(found.documents[0].number);
    by("doc-said").textContent = find()
      ? `no ${step > 0 ? "later" : "earlier"} document holds “${find()}”`
      : "this is the last";
  }

  private async list(from: number) {
    const found = await this.ask((signal, progress) =>
      this.server.call("documents", { from, count: LISTED, ...filter() }, signal, progress),
    );
    if (!found || !this.open) return;
    this.told(found.total);
    const rows = found.documents;
    const last = rows[rows.length - 1];
    by("doc-rows").replaceChildren(
      h(
        "ul",
        {},
        rows.map((d) =>
          h(
            "li",
            {},
            h(
              "button.link.wrap",
              { type: "button", "data-doc": d.number, onclick: () => this.load(d.number) },
              `${d.number} · ${tokenText(d.start).replaceAll("·", " ")}`,
            ),
          ),
        ),
      ),
      h(
        "div.row",
        {},
        rows.length ? null : h("p.note", {}, "none from here on"),
        from > 0
          ? h("button.small", { type: "button", onclick: () => this.list(0) }, "from the first")
          : null,
        rows.length === LISTED
          ? h("button.small", { type: "button", onclick: () => this.list(last.number + 1) }, "more")
          : null,
      ),
    );
  }

  private toggle() {
    this.open = !this.open;
    by("doc-list").setAttribute("aria-expanded", String(this.open));
    by("doc-rows").hidden = !this.open;
    if (this.open) this.list(Math.max(0, read().doc));
  }

  /** The address has changed. */
  show() {
    const s = read();
    const number = by("doc") as HTMLInputElement;
    const text = by("doc-find") as HTMLInputElement;
    if (document.activeElement !== number) number.value = s.doc < 0 ? "" : String(s.doc);
    if (document.activeElement !== text) text.value = s.docfind;
  }

  /** `[` and `]` walk; true: used. */
  key(pressed: string): boolean {
    if (pressed !== "[" && pressed !== "]") return false;
    this.walk(pressed === "]" ? 1 : -1);
    return true;
  }

  /** Puts the bar under the page's head. */
  stand() {
    const { name } = this;
    const seek = (e: Event) => {
      keep({ docfind: (e.target as HTMLInputElement).value });
      if (this.open) this.list(0);
    };
    const step = (label: string, sign: string, by_: 1 | -1) =>
      h(
        "button.small",
        {
          type: "button",
          "aria-label": `${label} document`,
          title: `${label} document (${by_ > 0 ? "]" : "["})`,
          onclick: () => this.walk(by_),
        },
        sign,
      );
    by("tools").after(
      h(
        "form.row",
        {
          id: "documents",
          "aria-label": `documents of ${name}`,
          onsubmit: (e: Event) => {
            e.preventDefault();
            const field = document.activeElement?.id;
            if (field === "doc" && (by("doc") as HTMLInputElement).value !== "")
              this.load(Number((by("doc") as HTMLInputElement).value));
            else this.walk(1);
          },
        },
        step("previous", "‹", -1),
        h(
          "label",
          { for: "doc" },
          `${name} `,
          h("input", { id: "doc", type: "number", min: 0, step: 1, placeholder: "number" }),
        ),
        h("span.note", { id: "doc-total" }),
        step("next", "›", 1),
        h(
          "label",
          { for: "doc-find" },
          "that hold ",
          h("input", {
            id: "doc-find",
            type: "text",
            placeholder: "any text",
            maxlength: 80,
            onchange: seek,
          }),
        ),
        h(
          "button.small",
          {
            id: "doc-list",
            type: "button",
            "aria-expanded": "false",
            "aria-controls": "doc-rows",
            onclick: () => this.toggle(),
          },
          "list",
        ),
        h("button.hidden", { type: "submit", tabindex: -1 }, "go"),
        h("span.note", { id: "doc-said", role: "status" }),
      ),
      h("div", { id: "doc-rows", hidden: true }),
    );
  }
}
