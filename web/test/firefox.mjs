// firefox.mjs: pages of Firefox as it is installed, by WebDriver BiDi, with what the tests use of
// playwright's (which drives a Firefox of its own only).
import { existsSync } from "node:fs";

export const FIREFOX =
  process.env.FIREFOX ??
  ["/usr/bin/firefox-esr", "/usr/bin/firefox"].find((path) => existsSync(path));

/** What puppeteer calls otherwise, or has not. */
function alike(p) {
  const waitFor = p.waitForFunction.bind(p);
  p.waitForFunction = (f, arg, options) => waitFor(f, options ?? {}, arg);
  p.waitForTimeout = (ms) => new Promise((ok) => setTimeout(ok, ms));
  p.fill = async (selector, text) => {
    await p.focus(selector);
    await p.$eval(selector, (e) => e.select());
    await (text ? p.keyboard.type(text) : p.keyboard.press("Backspace"));
  };
  const click = p.click.bind(p);
  p.click = (selector) => click(selector.replace(/^text="?(.*?)"?$/, "::-p-text($1)"));
  p.press = async (selector, key) => {
    await p.focus(selector);
    await p.keyboard.press(key);
  };
  p.textContent = (selector) => p.$eval(selector, (e) => e.textContent);
  p.inputValue = (selector) => p.$eval(selector, (e) => e.value);
  p.getAttribute = (selector, name) => p.$eval(selector, (e, n) => e.getAttribute(n), name);
  p.selectOption = (selector, value) => p.select(selector, value);
  return p;
}

/**
 * As playwright's browser: newPage and close. Light and dark are settings of the whole browser, so
 * there are two.
 */
export async function firefox() {
  const { default: puppeteer } = await import("puppeteer-core");
  const start = (dark) =>
    puppeteer.launch({
      browser: "firefox",
      executablePath: FIREFOX,
      headless: true,
      extraPrefsFirefox: {
        "layout.css.prefers-color-scheme.content-override": dark ? 0 : 1,
        "ui.prefersReducedMotion": 1,
      },
    });
  const [light, dark] = [await start(false), await start(true)];
  return {
    async newPage({ viewport, colorScheme }) {
      const p = await (colorScheme === "dark" ? dark : light).newPage();
      await p.setViewport(viewport);
      return alike(p);
    },
    close: () => Promise.all([light.close(), dark.close()]),
  };
}
