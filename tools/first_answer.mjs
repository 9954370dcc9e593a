// first_answer.mjs MODEL [TEXT [WORD]]: from the command's start to the answer of "why did it say macaroni?" as a new user
// gets it: the text typed on the first screen, a click on "why?" beside the word. Prints seconds, clicks and keys.
// After make demo: node tools/first_answer.mjs "demo/sgatlin --recording demo/rec"
// MODEL may have options behind it. It needs chromium, and playwright-core in web/node_modules (make test-web puts it there).
import { spawn } from "node:child_process";
import { createRequire } from "node:module";

const { chromium } = createRequire(new URL("../web/package.json", import.meta.url))("playwright-core");
const [model, text = "Noah's favourite food was", word = "macaroni"] = process.argv.slice(2);

async function walk(width, height, colorScheme) {
  const from = performance.now();
  const seconds = () => ((performance.now() - from) / 1000).toFixed(2);
  const server = spawn(process.env.SGATLIN ?? "build/sgatlin", ["-q", "explore", ...model.split(" ")], { stdio: ["ignore", "pipe", "inherit"] });
  const url = await new Promise((ok) => server.stdout.once("data", (d) => ok(String(d).trim())));
  const told = [`address ${seconds()} s`];
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--headless", "--no-sandbox", "--disable-gpu"] });
  try {
    const p = await browser.newPage({ viewport: { width, height }, colorScheme });
    await p.goto(url);
    await p.waitForSelector("ul.welcome");
    told.push(`first screen ${seconds()} s`);
    await p.keyboard.press("/");
    await p.keyboard.type(text);
    await p.keyboard.press("Enter");
    const why = p.locator("#candidates tbody tr", { hasText: word }).getByRole("button").first();
    await why.waitFor();
    told.push(`predictions ${seconds()} s`);
    await why.click();
    const answer = p.locator("#answer");
    await answer.waitFor();
    told.push(`answer ${seconds()} s`);
    const box = await answer.boundingBox();
    console.log(`${width} x ${height}, ${colorScheme}: ${told.join(", ")}; 1 click, ${text.length + 2} keys, no scrolling: ${box.y + box.height <= height}`);
    return await answer.textContent();
  } finally {
    await browser.close();
    server.kill("SIGINT");
  }
}

let said = "";
for (const scheme of ["light", "dark"])
  for (const [width, height] of [
    [1280, 720],
    [390, 844],
  ])
    said = await walk(width, height, scheme);
console.log(said);
