// firefox.mjs: pages of Firefox as it is installed, by WebDriver BiDi, with what the tests use of
// playwright's (which drives a Firefox of its own only).
import { copyFileSync, existsSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const FIREFOX =
  process.env.FIREFOX ??
  ["/usr/bin/firefox-esr", "/usr/bin/firefox"].find((path) => existsSync(path));

const PATIENCE = 30000; // ms for an element or a file to be there
const pause = (ms) => new Promise((ok) => setTimeout(ok, ms));
async function until(what, look) {
  for (const end = performance.now() + PATIENCE; performance.now() < end; await pause(20)) {
    const found = await look();
    if (found) return found;
  }
  throw new Error(`waited for ${what}`);
}

/** playwright's "css >> text=T >> nth=N" in puppeteer's words, with what these have no word for. */
function parsed(selector) {
  const want = { css: "", nth: 0, visible: false };
  for (const part of selector.split(" >> ")) {
    const [, key, value] = /^(nth|visible|text)=(.*)$/.exec(part) ?? [];
    if (key === "nth") want.nth = Number(value);
    else if (key === "visible") want.visible = true;
    else if (key !== "text") want.css += part.replace(/:has-text\('(.*?)'\)/, "::-p-text($1)");
    else if (!value.startsWith('"')) want.css += `::-p-text(${value})`;
    else want.css += `::-p-xpath(.//*[normalize-space(text())=${value}])`;
  }
  return want;
}

async function chosen(p, selector) {
  const { css, nth, visible } = parsed(selector);
  return until(selector, async () => {
    const list = await p.$$(css);
    const seen = visible ? await Promise.all(list.map((e) => e.isVisible())) : [];
    return list.filter((_, i) => !visible || seen[i])[nth];
  });
}

/** What was saved, once it is whole; it then has a name of its own. */
async function download(dir) {
  const path = join(dir, `${performance.now()}.saved`);
  await until("a download", () => {
    const names = readdirSync(dir).filter((n) => !n.endsWith(".saved"));
    if (names.some((n) => n.endsWith(".part"))) return false;
    const whole = names.find((n) => statSync(join(dir, n), { throwIfNoEntry: false })?.size > 0);
    if (!whole) return false;
    renameSync(join(dir, whole), path);
    return true;
  });
  return { path: async () => path, saveAs: async (to) => copyFileSync(path, to) };
}

/** An element that is clicked with keys held, as playwright says it. */
function held(p, e) {
  const click = e.click.bind(e);
  e.click = async ({ modifiers = [] } = {}) => {
    for (const key of modifiers) await p.keyboard.down(key);
    await click();
    for (const key of modifiers) await p.keyboard.up(key);
  };
  return e;
}

/** What puppeteer calls otherwise, or has not. */
function alike(p, dir) {
  const waitFor = p.waitForFunction.bind(p);
  p.waitForFunction = (f, arg, options) => waitFor(f, options ?? {}, arg);
  p.waitForTimeout = pause;
  p.waitForEvent = (what) => {
    if (what !== "download") throw new Error(`no ${what} in Firefox`);
    return download(dir);
  };
  const all = p.$$.bind(p);
  p.$$ = async (selector) => (await all(selector)).map((e) => held(p, e));
  p.click = async (selector) => (await chosen(p, selector)).click();
  p.hover = async (selector) => (await chosen(p, selector)).hover();
  p.focus = async (selector) => (await chosen(p, selector)).focus();
  p.fill = async (selector, text) => {
    await p.focus(selector);
    await p.$eval(selector, (e) => e.select());
    await (text ? p.keyboard.type(text) : p.keyboard.press("Backspace"));
  };
  p.press = async (selector, key) => {
    await p.focus(selector);
    await p.keyboard.press(key);
  };
  p.locator = (selector) => ({
    first: () => p.locator(selector),
    click: () => p.click(selector),
    focus: () => p.focus(selector),
    getAttribute: (name) => p.getAttribute(selector, name),
  });
  p.isVisible = async (selector) => (await p.$(selector))?.isVisible() ?? false;
  p.textContent = (selector) => p.$eval(selector, (e) => e.textContent);
  p.inputValue = (selector) => p.$eval(selector, (e) => e.value);
  p.getAttribute = (selector, name) => p.$eval(selector, (e, n) => e.getAttribute(n), name);
  const ticked = async (selector, want) => {
    if ((await p.$eval(selector, (e) => e.checked)) !== want) await p.click(selector);
  };
  p.check = (selector) => ticked(selector, true);
  p.uncheck = (selector) => ticked(selector, false);
  p.selectOption = (selector, value) => p.select(selector, value);
  p.setInputFiles = async (selector, path) => (await p.$(selector)).uploadFile(path);
  p.setViewportSize = (size) => p.setViewport(size);
  p.addInitScript = (f) => p.evaluateOnNewDocument(f);
  return p;
}

/**
 * As playwright's browser: newPage, newContext and close. Light and dark are settings of the whole
 * browser, so there are two. Prefs: more settings of both.
 */
export async function firefox(prefs = {}) {
  const { default: puppeteer } = await import("puppeteer-core");
  const dir = mkdtempSync(join(tmpdir(), "sgatlin-firefox-"));
  const start = (dark) =>
    puppeteer.launch({
      browser: "firefox",
      executablePath: FIREFOX,
      headless: true,
      extraPrefsFirefox: {
        "layout.css.prefers-color-scheme.content-override": dark ? 0 : 1,
        "ui.prefersReducedMotion": 1,
        "browser.download.folderList": 2,
        "browser.download.dir": dir,
        "browser.download.alwaysOpenPanel": false,
        ...prefs,
      },
    });
  const [light, dark] = [await start(false), await start(true)];
  async function newPage({ viewport = { width: 1280, height: 720 }, colorScheme } = {}) {
    const p = await (colorScheme === "dark" ? dark : light).newPage();
    await p.setViewport(viewport);
    return alike(p, dir);
  }
  return {
    newPage,
    newContext: async (options) => ({ newPage: () => newPage(options), close: async () => {} }),
    async close() {
      await Promise.all([light.close(), dark.close()]);
      rmSync(dir, { recursive: true });
    },
  };
}
