// pictures.mjs MODEL OUT.png [STATE [HEIGHT]]: a picture of the real page, for README and docs: 1280 x HEIGHT (720), light.
// After make demo: node tools/pictures.mjs demo/sgatlin docs/pictures/explorer.png
// MODEL may have options behind it: "MODEL --beside MODEL2 --beside-sparse TC2". STATE is what stands behind # in the address. It needs chromium, and playwright-core in web/node_modules (make test-web puts it there).
import { spawn } from "node:child_process";
import { createRequire } from "node:module";

const { chromium } = createRequire(new URL("../web/package.json", import.meta.url))("playwright-core");
const [model, out, state = "view=graph&text=Noah's favourite food was&target=macaroni", height = 720] = process.argv.slice(2);
const server = spawn(process.env.SGATLIN ?? "build/sgatlin", ["-q", "explore", ...model.split(" ")], { stdio: ["ignore", "pipe", "inherit"] });
try {
  const url = await new Promise((ok) => server.stdout.once("data", (d) => ok(String(d).trim())));
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--headless", "--no-sandbox", "--disable-gpu"] });
  const p = await browser.newPage({ viewport: { width: 1280, height: Number(height) }, colorScheme: "light", reducedMotion: "reduce" });
  await p.goto(`${url}&${new URLSearchParams(state)}`);
  await p.waitForFunction(() => document.querySelector("#view").getAttribute("aria-busy") === "false" && document.querySelector("#view").children.length > 0);
  await p.waitForTimeout(300);
  await p.screenshot({ path: out });
  await browser.close();
} finally {
  server.kill("SIGINT");
}
