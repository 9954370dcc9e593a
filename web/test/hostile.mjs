// hostile.mjs: texts that would run as scripts, and pages elsewhere that would talk to the server.
import { chromium } from "playwright-core";
import { CHROMIUM, FLAGS } from "./tools.mjs";

/** 100 texts that would run as scripts if they were markup anywhere. */
export async function payloads({ page, settled, check, url }) {
  const p = await page(1280, 720, "light");
  p.on("dialog", (d) => {
    check(false, "a prompt ran as script");
    d.dismiss();
  });
  await p.goto(url);
  await settled(p);
  const cores = [
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
  const around = [
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
  for (const [i, text] of around.flatMap((f) => cores.map(f)).entries()) {
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
    const bad = await p.$$eval(
      "main img, main script, main iframe, main style, main base, main a[href], main math",
      (e) => e.length,
    );
    check(bad === 0, `a prompt became markup: ${text}`);
  }
  await p.close();
}

/** A name of somebody else's that leads here is refused, page and calls. */
export async function rebinding({ check, url }) {
  const port = new URL(url).port;
  const other = await chromium.launch({
    executablePath: CHROMIUM,
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--host-resolver-rules=MAP evil.example 127.0.0.1",
    ],
  });
  const p = await other.newPage();
  const r = await p.goto(`http://evil.example:${port}/`);
  check(r.status() === 421, `another name is answered with ${r.status()}`);
  const call = await p.evaluate(
    (u) =>
      fetch(u, { headers: { "X-Sgatlin-Token": "0".repeat(32) } }).then(
        (x) => x.status,
        () => 0,
      ),
    "/api/info",
  );
  check(call === 421, `a call by another name is answered with ${call}`);
  const across = await p.evaluate(
    (u) =>
      fetch(u, { method: "POST", headers: { "Content-Type": "text/plain" }, body: "{}" }).then(
        (x) => x.type,
        () => "refused",
      ),
    `http://127.0.0.1:${port}/api/predict`,
  );
  check(across === "refused", `a call across sites is ${across}`);
  await other.close();
}
