// tools.mjs: the server, the browser, and what every test of the page uses.
import { execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { firefox } from "./firefox.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
export const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
export const exacts = (p, selector) =>
  p.$$eval(selector, (es) => es.map((e) => Number(e.dataset.exact)));

export async function begin(run, recording, worlds, shots) {
  const sgatlin = process.env.SGATLIN ?? "build/sgatlin";
  const problems = [];
  const check = (ok, what) => {
    if (!ok) {
      problems.push(what);
      console.log(`FAIL ${what}`);
    }
  };
  // Figures of a quiet machine: held where LOAD_STRICT=1 says that it is one (tests/README.md).
  const quick = (ok, what) => {
    if (process.env.LOAD_STRICT) check(ok, what);
    else if (!ok) console.log(`not held on a machine with other work: ${what}`);
  };
  const same = (a, b, what) =>
    check(
      JSON.stringify(a) === JSON.stringify(b),
      `${what}: ${JSON.stringify(a).slice(0, 200)}, expected ${JSON.stringify(b).slice(0, 200)}`,
    );
  const near = (a, b, most, what) =>
    check(
      a.length === b.length && a.every((x, i) => Math.abs(x - b[i]) <= most),
      `${what}: ${a.slice(0, 4)}, expected ${b.slice(0, 4)}`,
    );
  const command = (...args) =>
    execFileSync(sgatlin, args, { encoding: "utf8", maxBuffer: 1 << 28 });
  const cli = (...args) => JSON.parse(command(...args, "--json"));
  const server = spawn(
    sgatlin,
    ["-q", "explore", run, "--recording", recording, "--worlds", worlds],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const url = await new Promise((ok) => server.stdout.once("data", (d) => ok(String(d).trim())));
  const browser =
    process.env.BROWSER === "firefox"
      ? await firefox()
      : await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });

  async function page(width, height, scheme, at = url) {
    const p = await browser.newPage({
      viewport: { width, height },
      colorScheme: scheme,
      reducedMotion: "reduce",
    });
    p.on("console", (m) => {
      if (["error", "warning", "warn"].includes(m.type())) check(false, `console: ${m.text()}`);
    });
    p.on("pageerror", (e) => check(false, `page: ${e.message}`));
    p.on("request", (r) =>
      check(
        r.url().startsWith(at.split("#")[0]) || /^(blob|data):/.test(r.url()),
        `request to ${r.url()}`,
      ),
    );
    return p;
  }
  async function settled(p) {
    await p.waitForFunction(
      () => document.querySelector("#view").getAttribute("aria-busy") === "false",
      null,
      { timeout: 60000 },
    );
    await p.waitForTimeout(60);
  }
  /** A view of the text by its state; the page is busy from the moment that the address changes. */
  async function open(p, state) {
    const hash = new URLSearchParams({ text: tools.text, ...state });
    await p.evaluate((h) => {
      const was = location.href;
      const panel = document.querySelector("#view");
      panel.setAttribute("aria-busy", "true");
      location.hash = h;
      if (location.href === was) panel.setAttribute("aria-busy", "false");
    }, hash.toString());
    await p.waitForTimeout(20);
    await settled(p);
  }
  /** axe is put into the page by the debugger, so the page's own policy stays in force. */
  async function accessible(p, name) {
    if (!(await p.evaluate(() => "axe" in window))) await p.evaluate(axe);
    const found = await p.evaluate(() =>
      window.axe.run(document, {
        runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"],
        resultTypes: ["violations"],
      }),
    );
    for (const v of found.violations)
      check(
        false,
        `axe, ${name}: ${v.id}: ${v.nodes
          .slice(0, 3)
          .map((n) => `${n.target} ${n.failureSummary}`)
          .join("; ")}`,
      );
  }
  const exact = (p, selector) => p.$eval(selector, (e) => Number(e.dataset.exact));
  const end = async () => {
    await browser.close();
    server.kill("SIGINT");
  };
  const tools = {
    page,
    settled,
    open,
    accessible,
    check,
    quick,
    same,
    near,
    cli,
    command,
    exact,
    end,
    problems,
    browser,
    url,
    run,
    recording,
    worlds,
    shots,
  };
  return tools;
}
