// export.ts: any view as SVG, as the JSON behind it, and as one HTML file that needs no server. It
// knows no view: SVG is made from what the panel shows, JSON and HTML from the answers that the
// view has asked for (the Server of api.ts keeps them).
import type { Recorded, Server } from "./api";
import { by, h, save } from "./dom";
import type { Info } from "./types";
import { picture } from "./svg";

/** `?static=1`, in front of # or behind it: the view without controls. */
export function applyStatic(recorded: boolean): void {
  const asked = (text: string) => new URLSearchParams(text).get("static") === "1";
  document.body.classList.toggle("static", asked(location.search) || asked(location.hash.slice(1)));
  document.body.classList.toggle("recorded", recorded);
}

const fileName = (view: string, end: string) => `sgatlin-${view}.${end}`;

/**
 * The page's own files with the answers in them; "<" is escaped in JSON, so that no text of the
 * model can end the script element.
 */
async function wholePage(server: Server, info: Info): Promise<string> {
  const [html, code, css, icon] = await Promise.all(
    ["/index.html", "/app.js", "/app.css", "/icon.svg"].map(async (f) => {
      const r = await fetch(f);
      if (!r.ok) throw new Error(`the server answered ${r.status} for ${f}`);
      return r.text();
    }),
  );
  const recorded: Recorded = { hash: location.hash.slice(1), info, answers: server.answers() };
  const data = JSON.stringify(recorded).replace(/</g, "\\u003c");
  const policy =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; " +
    "img-src data: blob:; base-uri 'none'; form-action 'none'";
  const put = (text: string, what: string, by_: string) => {
    if (!text.includes(what)) throw new Error(`the page has no ${what}`);
    return text.replace(what, () => by_);
  };
  let out = put(
    html,
    '<meta charset="utf-8">',
    `<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="${policy}">`,
  );
  out = put(
    out,
    '<link rel="icon" href="/icon.svg">',
    `<link rel="icon" href="data:image/svg+xml,${encodeURIComponent(icon)}">`,
  );
  out = put(out, '<link rel="stylesheet" href="/app.css">', `<style>${css}</style>`);
  out = put(out, '<script src="/app.js" defer></script>', "");
  return put(
    out,
    "</body>",
    `<script type="application/json" ` +
      `id="recorded">${data}</script>\n<script>${code}</script>\n</body>`,
  );
}

/** What can be made of the view on screen. */
export function exportDialog(server: Server, view: string, title: string, info: Info) {
  const d = by("export") as HTMLDialogElement;
  const said = h("p.note", { role: "status" });
  const plain = new URLSearchParams(location.hash.slice(1));
  plain.set("static", "1");
  const choice = (label: string, what: string, make: () => void | Promise<void>) =>
    h(
      "tr",
      {},
      h(
        "td",
        {},
        h(
          "button",
          {
            type: "button",
            onclick: async () => {
              said.textContent = "";
              try {
                await make();
                said.textContent = `${label} saved.`;
              } catch (e) {
                said.textContent = (e as Error).message;
              }
            },
          },
          label,
        ),
      ),
      h("td", {}, what),
    );
  d.replaceChildren(
    h("h2", { id: "export-title" }, `Save “${title}”`),
    h(
      "table",
      {},
      h(
        "tbody",
        {},
        choice("SVG", "the view as a picture", () =>
          save(
            fileName(view, "svg"),
            picture(`${info.model?.name ?? info.file ?? info.study}: ${title}`),
            "image/svg+xml",
          ),
        ),
        choice("JSON", "the answers behind it, with what was asked", () =>
          save(
            fileName(view, "json"),
            JSON.stringify({
              version: info.version,
              model: info.model,
              view: Object.fromEntries(new URLSearchParams(location.hash.slice(1))),
              calls: server.answers(),
            }),
            "application/json",
          ),
        ),
        server.recorded
          ? null
          : choice(
              "HTML",
              "one file with the page and the answers: opens from disk, needs no server",
              async () => save(fileName(view, "html"), await wholePage(server, info), "text/html"),
            ),
        h(
          "tr",
          {},
          h("td", {}, h("a", { href: `#${plain}`, onclick: () => d.close() }, "Plain")),
          h("td", {}, "the view without controls, for papers; back returns"),
        ),
      ),
    ),
    said,
    h("form", { method: "dialog" }, h("button.primary", {}, "Close")),
  );
  d.showModal();
}
