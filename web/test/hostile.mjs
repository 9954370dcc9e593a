// hostile.mjs: texts that would run as scripts, and pages elsewhere that would talk to the server.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { explorer } from "./files.mjs";
import { firefox } from "./firefox.mjs";
import { CHROMIUM, FLAGS } from "./tools.mjs";

const CORES = [
  "<script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  "<svg onload=alert(1)>",
  "<iframe srcdoc='<script>alert(1)</script>'>",
  "<a href=javascript:alert(1)>x</a>",
  "<style>@import 'http://evil.example'</style>",
  "<base href=http://evil.example>",
  "<form action=http://evil.example><input autofocus onfocus=alert(1)>",
  "<math><mtext></table></math><img src onerror=alert(1)>",
  "javascript:alert(1)",
];
const AROUND = [
  (x) => x,
  (x) => `"${x}`,
  (x) => `'>${x}`,
  (x) => `</textarea>${x}`,
  (x) => `</title>${x}`,
  (x) => `-->${x}`,
  (x) => `&lt;${x}`,
  (x) => `]]>${x}`,
  (x) => `{{${x}}}`,
  (x) => `\n\n${x}\n`,
];
const PAYLOADS = AROUND.flatMap((f) => CORES.map(f));

/** Elements that no view makes: something became markup. */
const markup = (p) =>
  p.$$eval(
    [
      ...["img", "script", "iframe", "style", "base", "math"].map((e) => `body ${e}`),
      "a[href^=javascript], form:not(#prompt-form)[action], [onerror], [onload], [onfocus]",
    ].join(", "),
    (es) => es.map((e) => e.outerHTML.slice(0, 120)),
  );

/** Scripts that run open a dialog, what the policy stops is told: both are failures. */
async function guarded(p, check, what) {
  p.on("dialog", (d) => {
    check(false, `${what}: ran as script`);
    d.dismiss();
  });
  await p.exposeFunction("violated", (v) => check(false, `${what}: policy: ${v}`));
  await p.addInitScript(() =>
    addEventListener("securitypolicyviolation", (e) =>
      window.violated(`${e.violatedDirective} ${e.blockedURI}`),
    ),
  );
}

/** 100 texts that would run as scripts if they were markup anywhere. */
export async function payloads({ page, settled, check, url }) {
  const p = await page(1280, 720, "light");
  await guarded(p, check, "a prompt");
  await p.goto(url);
  await settled(p);
  for (const [i, text] of PAYLOADS.entries()) {
    await p.evaluate(
      (h) => {
        location.hash = h;
      },
      new URLSearchParams({
        view: i % 10 ? "predictions" : "circuit",
        text,
        target: "",
      }).toString(),
    );
    await p.waitForTimeout(20);
    await p.waitForFunction(
      () => document.querySelector("#view").getAttribute("aria-busy") === "false",
      null,
      { timeout: 30000 },
    );
    const bad = await markup(p);
    check(bad.length === 0, `a prompt became markup: ${text}: ${bad}`);
  }
  await p.close();
}

/** Nobody listens there, as either browser says it. */
const NOBODY =
  /ERR_(CONNECTION_REFUSED|ADDRESS_INVALID|NAME_NOT_RESOLVED)|connectionFailure|dnsNotFound/;

/** Names of somebody else's that lead here are refused, page and calls, and so is what their pages
 *  send here. */
export async function rebinding({ check, url }) {
  const port = new URL(url).port;
  const names = [
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "evil-localhost.example",
    "localhost.",
    "sub.localhost",
    "xn--lcalhost-43a.example",
    "0.0.0.0",
    "127.0.0.2",
    "127.1.1.1",
    "[::ffff:127.0.0.1]",
  ];
  const other =
    process.env.BROWSER === "firefox"
      ? await firefox({
          "network.dns.localDomains": [...names, "elsewhere.example"].join(","),
          "network.proxy.type": 0,
        })
      : await chromium.launch({
          executablePath: CHROMIUM,
          args: [
            ...FLAGS,
            "--host-resolver-rules=" +
              ["*.example", "localhost.", "sub.localhost"]
                .map((n) => `MAP ${n} 127.0.0.1`)
                .join(", "),
          ],
        });
  for (const name of names) {
    const p = await other.newPage();
    let r = null;
    try {
      r = await p.goto(`http://${name}:${port}/`, { timeout: 10000 });
    } catch (e) {
      await p.close();
      // Nobody listens at that address: nothing was answered.
      check(NOBODY.test(e.message), e.message);
      continue;
    }
    check(r.status() === 421, `${name} is answered with ${r.status()}`);
    const call = await p.evaluate(
      (u) =>
        fetch(u, { headers: { "X-Sgatlin-Token": "0".repeat(32) } }).then(
          (x) => x.status,
          () => 0,
        ),
      "/api/info",
    );
    check(call === 421, `a call by ${name} is answered with ${call}`);
    await p.close();
  }
  await crossSite({ check, browser: other, port });
  await other.close();
}

/** A page of another site tries what a page can send without asking: no call is answered, no frame
 *  shows the page. */
async function crossSite({ check, browser, port }) {
  const here = `http://127.0.0.1:${port}`;
  const body = JSON.stringify({ text: "The dog" });
  const form = (type, action) =>
    `<form method=post enctype="${type}" action="${here}${action}" target=sink>` +
    `<input name='{"text":"The dog","x":"' value='"}'></form>`;
  const types = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];
  const page = `<!doctype html><title>elsewhere</title><iframe name=sink></iframe>
    ${types.map((t) => form(t, "/api/predict")).join("")}
    <form method=get action="${here}/api/info" target=sink></form>
    <img src="${here}/api/info"><img src="${here}/api/predict?text=dog">
    <script src="${here}/api/info"></script>
    <script src="${here}/app.js"></script><link rel=stylesheet href="${here}/app.css">
    <iframe id=framed src="${here}/"></iframe>
    <iframe src="${here}/?q=The+dog#text=The+dog"></iframe>
    <object data="${here}/api/info"></object><embed src="${here}/api/info">`;
  const site = createServer((_, answer) => {
    answer.setHeader("Content-Type", "text/html");
    answer.end(page);
  });
  await new Promise((ok) => site.listen(0, "127.0.0.1", ok));
  const p = await browser.newPage();
  const answered = [];
  p.on("response", (r) => {
    if (r.url().includes("/api/") && r.status() < 400)
      answered.push(`${r.request().method()} ${r.url()}`);
  });
  p.on("dialog", (d) => d.dismiss());
  await p.goto(`http://elsewhere.example:${site.address().port}/`);
  const outcomes = await p.evaluate(
    async ([here, body]) => {
      for (const f of document.forms) {
        f.submit();
        await new Promise((ok) => setTimeout(ok, 60));
      }
      const out = {};
      const types = [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/json",
      ];
      for (const mode of ["cors", "no-cors"])
        for (const method of ["GET", "POST"])
          for (const type of types)
            for (const credentials of ["omit", "include"]) {
              const options = { method, mode, credentials };
              if (method === "POST")
                Object.assign(options, { body, headers: { "Content-Type": type } });
              out[`${mode} ${method} ${type} ${credentials}`] = await fetch(
                `${here}/api/predict`,
                options,
              ).then(
                (r) => (r.type === "opaque" ? "opaque" : `${r.status}`),
                () => "refused",
              );
            }
      out.token = await fetch(`${here}/api/info`, {
        headers: { "X-Sgatlin-Token": "0".repeat(32) },
      }).then(
        (r) => `${r.status}`,
        () => "refused",
      );
      navigator.sendBeacon(`${here}/api/predict`, body);
      const source = new EventSource(`${here}/api/predict`);
      const socket = await new Promise((ok) => {
        const s = new WebSocket(`${here.replace("http", "ws")}/api/predict`);
        s.onopen = () => ok("open");
        s.onerror = () => ok("refused");
      });
      source.close();
      out.socket = socket;
      let inside = "refused";
      try {
        if (document.querySelector("#framed").contentDocument?.querySelector("#prompt"))
          inside = "framed";
      } catch {
        /* another origin */
      }
      out.frame = inside;
      return out;
    },
    [here, body],
  );
  for (const [what, outcome] of Object.entries(outcomes))
    check(outcome === "refused" || outcome === "opaque", `elsewhere: ${what}: ${outcome}`);
  await p.waitForTimeout(300);
  const shown = p.frames().filter((f) => f.url().startsWith(here));
  for (const f of shown)
    check(
      (await f.$$("#prompt").catch(() => [])).length === 0,
      "elsewhere: the page is shown in a frame",
    );
  check(answered.length === 0, `elsewhere: calls were answered: ${answered}`);
  await p.close();
  site.close();
}

/** A model whose directory, tokens and recording, a corpus whose texts, categories, topics and
 *  facts, and a graph's file: all of them texts that would run. Every view shows them. */
export async function hostileFiles({ browser, settled, check, command, run, worlds, views }) {
  const dir = mkdtempSync(join(tmpdir(), "sgatlin-hostile-"));
  const model = join(dir, CORES[1]);
  mkdirSync(model);
  const newest = readFileSync(join(run, "checkpoints", "latest"), "utf8").trim();
  for (const f of ["config.json", "tokenizer.json", "model.safetensors"])
    cpSync(join(run, "checkpoints", newest, f), join(model, f));
  // The last merges' tokens give their ids to texts that would run, each one token.
  const path = join(model, "tokenizer.json");
  const tokenizer = JSON.parse(readFileSync(path, "utf8"));
  const { vocab } = tokenizer.model;
  const own = PAYLOADS.map((x) => x.trim()).filter((x, i, all) => all.indexOf(x) === i);
  const last = Object.keys(vocab).sort((a, b) => vocab[b] - vocab[a]);
  for (const [i, content] of own.entries()) {
    const id = vocab[last[i]];
    delete vocab[last[i]];
    tokenizer.model.merges.pop();
    const flags = {
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: false,
    };
    tokenizer.added_tokens.push({ id, content, ...flags });
  }
  tokenizer.added_tokens.sort((a, b) => a.id - b.id);
  writeFileSync(path, JSON.stringify(tokenizer));
  const corpus = join(dir, "corpus");
  mkdirSync(corpus);
  const docs = own
    .map((x, i) => `The ${x} was a dog ${own[(i + 1) % own.length]} with a cat.`)
    .slice(0, 40);
  writeFileSync(join(corpus, "valid.txt"), docs.join("\n<|endoftext|>\n"));
  const labels = Object.fromEntries(
    [...own, "dog", "cat"].map((x, i) => [x, [own[i % own.length]]]),
  );
  writeFileSync(join(corpus, "labels.json"), JSON.stringify(labels));
  const topics = docs.map((_, story) =>
    JSON.stringify({
      split: "valid",
      story,
      topic: own[story % own.length].slice(0, 60),
      plot: own[1],
      character: own[2],
    }),
  );
  writeFileSync(join(corpus, "topics.jsonl"), topics.join("\n"));
  const fact = (i) => ({
    type: i < 3 ? "quality" : CORES[1],
    sentence: `The ${own[i]} was ${own[i + 20]}.`,
    prompt: `The ${own[i]} was`,
    noun: own[i],
    answer: own[i + 20],
    adjectives: [own[i + 20]],
    occurrences: 3,
  });
  writeFileSync(join(corpus, "facts.json"), JSON.stringify([0, 1, 2, 3].map(fact)));
  const recording = join(dir, "rec");
  command("-q", "record", model, "--data", join(corpus, "valid.txt"), "-o", recording);
  const graph = join(dir, `${CORES[2]}.json`);
  command("-q", "graph", model, "--prompt", docs[0].slice(0, 60), "-o", graph);
  const made = JSON.parse(readFileSync(graph, "utf8"));
  made.metadata.slug = made.metadata.scan = CORES[0];
  made.metadata.prompt = own.slice(0, 5).join(" ");
  made.metadata.prompt_tokens = made.metadata.prompt_tokens.map((_, i) => own[i]);
  made.qParams.supernodes = [[CORES[1], made.nodes[1].node_id, made.nodes[2].node_id]];
  for (const [i, n] of made.nodes.entries()) n.clerp = own[i % own.length];
  writeFileSync(graph, JSON.stringify(made));

  const visit = async (what, args, states) => {
    const { url, end } = await explorer(...args);
    const p = await browser.newPage({
      viewport: { width: 1280, height: 720 },
      reducedMotion: "reduce",
    });
    await guarded(p, check, what);
    p.on("pageerror", (e) => check(false, `${what}: ${e.message}`));
    p.on("request", (r) =>
      check(
        /^(blob:|data:)/.test(r.url()) || r.url().startsWith(url.split("#")[0]),
        `${what}: request to ${r.url()}`,
      ),
    );
    await p.goto(url);
    await settled(p);
    let seen = 0;
    for (const state of states) {
      await p.evaluate((h) => {
        location.hash = h;
      }, new URLSearchParams(state).toString());
      await p.waitForTimeout(20);
      await settled(p);
      const bad = await markup(p);
      check(bad.length === 0, `${what}, ${state.view}: became markup: ${bad}`);
      if ((await p.$eval("body", (e) => e.innerText)).includes("alert(1)")) seen++;
    }
    check(seen > 0, `${what}: no such text was shown`);
    await p.close();
    end();
    return seen;
  };
  const text = `The ${own[0]} was ${own[1]} ${own[21]} a dog ${own[2]}`;
  const states = Object.entries(views).map(([name, state]) => ({
    text,
    view: name,
    ...state,
    pair: "",
  }));
  for (const s of states) if (s.other) s.other = text.replace("dog", own[3]);
  states.push(
    { text, view: "facts", pair: `${own[0]}|${own[1]}` },
    { text, view: "facts", pair: "all" },
  );
  states.push(
    { text, view: "corpus", find: own[2] },
    { text, view: "circuit", target: own[4], against: own[5] },
  );
  states.push({ text, view: "map", docs: "16", tint: "category", seek: own[0] });
  const more = ["--recording", recording, "--worlds", corpus, "--data", join(corpus, "valid.txt")];
  const seen = await visit("hostile model and corpus", [model, ...more], states);
  check(seen > states.length / 2, `hostile texts were seen in ${seen} of ${states.length} views`);
  await visit("hostile graph", [graph], [{ view: "graph" }, { view: "graph", share: "0.5" }]);
  rmSync(dir, { recursive: true });
}
