// export.ts: any view as SVG, as the JSON behind it, and as one HTML file that needs no server. It knows no view: SVG is made from what the
// panel shows, JSON and HTML from the answers the view has asked for (api.ts keeps them).
import { answers, recorded } from "./api";
import { by, h, save } from "./dom";
import type { Info } from "./types";
import { picture } from "./svg";

/** `?static=1`, in front of # or behind it: the view without controls. */
export function applyStatic() {
  const asked = (text: string) => new URLSearchParams(text).get("static") === "1";
  document.body.classList.toggle("static", asked(location.search) || asked(location.hash.slice(1)));
  document.body.classList.toggle("recorded", recorded !== null);
}

const fileName = (view: string, end: string) => `sgatlin-${view}.${end}`;

/** The page's own files with the answers in them; "<" is escaped in JSON, so that no text of the model can end the script element. */
async function wholePage(info: Info): Promise<string> {
  const [html, code, css, icon] = await Promise.all(["/index.html", "/app.js", "/app.css", "/icon.svg"].map(async (f) => {
    const r = await fetch(f);
    if (!r.ok) throw new Error(`the server answered ${r.status} for ${f}`);
    return r.text();
  }));
  const data = JSON.stringify({ hash: location.hash.slice(1), info, answers: answers() }).replace(/</g, "\\u003c");
  const policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'";
  const put = (text: string, what: string, by_: string) => {
    if (!text.includes(what)) throw new Error(`the page has no ${what}`);
    return text.replace(what, () => by_);
  };
  let out = put(html, "<meta charset=\"utf-8\">", `<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="${policy}">`);
  out = put(out, "<link rel=\"icon\" href=\"/icon.svg\">", `<link rel="icon" href="data:image/svg+xml,${encodeURIComponent(icon)}">`);
  out = put(out, "<link rel=\"stylesheet\" href=\"/app.css\">", `<style>${css}</style>`);
  out = put(out, "<script src=\"/app.js\" defer></script>", "");
  return put(out, "</body>", `<script type="application/json" id="recorded">${data}</script>\n<script>${code}</script>\n</body>`);
}

/** One row under the view; offered again with each view. */
export function offerExport(view: string, title: string, info: Info) {
  const said = h("span.note", { role: "status" }), static_ = () => {
    const to = new URLSearchParams(location.hash.slice(1));
    to.set("static", "1");
    return `#${to}`;
  };
  const button = (label: string, make: () => void | Promise<void>) => h("button.small", { type: "button", onclick: async () => {
    said.textContent = "";
    try {
      await make();
    } catch (e) {
      said.textContent = (e as Error).message;
    }
  } }, label);
  const row = h("div.row", { id: "export", role: "group", "aria-label": "save this view" }, h("span.note", {}, "Save this view as"),
    button("SVG", () => save(fileName(view, "svg"), picture(`${info.model.name}: ${title}`), "image/svg+xml")),
    button("JSON", () => save(fileName(view, "json"), JSON.stringify({ sgatlin: info.version, model: info.model, view, state: Object.fromEntries(new URLSearchParams(location.hash.slice(1))), answers: answers() }), "application/json")),
    recorded ? null : button("HTML file", async () => save(fileName(view, "html"), await wholePage(info), "text/html")),
    h("a", { href: static_(), target: "_blank", rel: "noopener", onclick: (e: Event) => (e.currentTarget as HTMLElement).setAttribute("href", static_()) }, "without controls"), said);
  by("export")?.remove();
  by("view").after(row);
}
