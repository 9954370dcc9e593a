// study.mjs: a study in place of a model: its curves grow while it goes on, results come as runs
// end, runs stand out together, damage is told. Called by browser.mjs.
import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { explorer } from "./files.mjs";

const sgatlin = process.env.SGATLIN ?? "build/sgatlin";
const count = (p, selector) => p.$$eval(selector, (e) => e.length);
const text = (p, selector) => p.$eval(selector, (e) => e.textContent);
const until = (p, test, argument) => p.waitForFunction(test, argument, { timeout: 120000 });

export async function study({
  browser,
  settled,
  accessible,
  check,
  same,
  page,
  worlds,
  run,
  shots,
}) {
  const dir = mkdtempSync(join(tmpdir(), "sgatlin-study-"));
  const at = join(dir, "four sizes");
  const ask = [
    ...["-q", "-t", "1", "isoflop", "-o", at],
    ...["--data", worlds, "--tokenizer", `${run}/tokenizer.json`, "--kinds", "sgatlin,mlp"],
    ...["--budgets", "2e8,4e8", "--scales", "ladder;32x1,ladder;32x2,ladder;32x4", "--seeds", "1"],
    ...["--set", "train.batch_size=8", "--set", "train.seq_len=32"],
    ...["--set", "schedule.warmup_steps=2"],
  ];
  execFileSync(sgatlin, [...ask, "--plan", join(dir, "plan")]);
  const names = readFileSync(join(dir, "plan"), "utf8")
    .trim()
    .split("\n")
    .map((line) => line.replace(/.*--run /, ""));
  const { url, end } = await explorer(at);
  const p = await page(1280, 720, "light", url);
  await p.goto(url);
  await settled(p);
  check((await text(p, "#model")).startsWith("four sizes"), "study: its name stands above");
  check(!(await p.isVisible("#prompt")), "study: there is no prompt");
  check(/0 of 12 runs have ended/.test(await text(p, "#study-now")), "study: nothing has ended");

  check(!(await count(p, "#study-factors td")), "study: factors are not made by themselves yet");
  await p.click("#study-factors button");
  await until(p, () => document.querySelector("#study-factors td"));
  check(
    /not enough has ended/.test(await text(p, "#study-factors")),
    "study: why there is no factor yet",
  );

  // Runs are done by other processes meanwhile.
  const rest = spawn(sgatlin, ask, { stdio: "ignore" });
  const ended = new Promise((ok) => rest.once("exit", ok));
  await until(p, () => document.querySelectorAll(".study .run path[d]").length > 0);
  await until(p, () => document.querySelectorAll(".study circle").length > 0);
  check((await ended) === 0, "study: the runs failed");
  await until(p, () => /12 of 12 runs/.test(document.querySelector("#study-now")?.textContent));
  check((await count(p, ".study circle")) === 12, "study: a point a run");
  check((await count(p, ".study .held")) === 12, "study: the held-out loss of every run");
  const printed = JSON.parse(execFileSync(sgatlin, ["-q", "isoflop", "-o", at, "--json"]));
  check(
    (await count(p, ".study .parabola")) === printed.optima.filter((o) => o.parabola).length,
    "study: parabolas",
  );
  const exacts = (selector) => p.$$eval(selector, (es) => es.map((e) => Number(e.dataset.exact)));
  same(
    await exacts("#study-runs tbody td:last-child span"),
    printed.runs.map((r) => r.valid_loss),
    "study: held-out losses",
  );
  same(
    await exacts(".card:has(.optimum) table [data-exact]"),
    printed.optima.map((o) => o.loss),
    "study: losses of the best sizes",
  );
  // Factors come by themselves once all has ended, and are the command's.
  await until(p, () => document.querySelector("#study-factors td [data-exact]"));
  const factors = printed.factors.filter((f) => f.against === "mlp");
  same(await exacts("#study-factors [data-exact]"), [...factors.map((f) => f.factor)], "factors");
  check(
    new RegExp(`the ${printed.resampled_documents} held-out documents`).test(
      await text(p, "#study-factors"),
    ),
    "study: what was resampled",
  );
  check(!(await count(p, "#study-factors button")), "study: nothing is left to ask for");
  await accessible(p, "study");
  if (shots) await p.screenshot({ path: `${shots}/study.png`, fullPage: true });

  // A kind of the legend: its runs stand out, and stay so once it is pressed.
  const lit = () => p.$$eval("#study-runs tr.lit", (es) => es.map((e) => e.dataset.run));
  const mlp = names.filter((n) => n.startsWith("mlp"));
  await p.hover("#study-legend button:has-text('mlp')");
  same((await lit()).sort(), [...mlp].sort(), "study: a kind that is pointed at");
  check((await count(p, ".study .run.lit")) === 2 * mlp.length, "study: and its curves and points");
  await p.mouse.move(2, 300);
  same(await lit(), [], "study: pointed away");
  await p.click("#study-legend button:has-text('mlp')");
  await p.mouse.move(2, 300);
  check((await lit()).length === mlp.length, "study: a pressed kind stays");
  check(p.url().includes("marked=kind"), "study: it stands in the address");
  await p.hover("#study-runs tbody tr:first-child");
  check((await lit()).length === 1, "study: one run");
  await p.click("#study-legend button:has-text('mlp')");

  // The other axis.
  await p.selectOption("#over", "seconds");
  await settled(p);
  check(
    (await p.getAttribute("svg.study", "aria-label")).endsWith("over time"),
    "study: curves over time",
  );
  check(p.url().includes("over=seconds"), "study: the axis stands in the address");

  // The training loss in place of the held-out one.
  await p.selectOption("#loss", "train");
  await settled(p);
  same(
    await exacts(".card:has(.optimum) table [data-exact]"),
    printed.train_optima.map((o) => o.loss),
    "study: best sizes by training loss",
  );
  check(p.url().includes("loss=train"), "study: the loss stands in the address");
  check((await count(p, ".study circle")) === 12, "study: a point a run by training loss");
  await until(p, () => document.querySelector("#study-factors td [data-exact]"));
  await p.goBack();
  await settled(p);

  // Steps timed anew: the page goes over to these by itself.
  check(/as the runs took/.test(await text(p, "#study-times")), "study: whose seconds");
  execFileSync(sgatlin, ["-q", "-t", "1", "isoflop", "-o", at, "--retime", "--rounds", "1"]);
  await until(p, () =>
    /steps timed anew/.test(document.querySelector("#study-times")?.textContent ?? ""),
  );
  await until(p, () => /processor time/.test(document.querySelector("#study-factors").textContent));
  await p.goBack();
  await settled(p);

  // Damage is told, and the rest stays.
  appendFileSync(join(at, "runs", names[0], "metrics.jsonl"), "broken\n");
  await until(p, () => document.querySelector("#study-problems"));
  check((await text(p, "#study-problems")).includes("metrics.jsonl, byte"), "study: a broken line");
  check((await count(p, ".study circle")) === 12, "study: all else stays");

  // What needs a model says so.
  await p.click("#tabs button:nth-child(2)");
  await settled(p);
  check(/is a study/.test(await text(p, "#needs-model")), "study: another view needs a model");
  await p.click("#needs-model button");
  await settled(p);
  check((await count(p, ".study circle")) === 12, "study: back");

  // Saved as one file, it is what it was.
  await p.click("#save-button");
  const [download] = await Promise.all([
    p.waitForEvent("download"),
    p.click("#export button:has-text('HTML')"),
  ]);
  const saved = join(dir, "saved.html");
  await download.saveAs(saved);
  await p.close();
  await end();
  const q = await browser.newPage();
  q.on("pageerror", (e) => check(false, `saved study: ${e.message}`));
  await q.goto(`file://${saved}`);
  await settled(q);
  check((await count(q, ".study circle")) === 12, "study: the saved page has every run");
  check((await count(q, "#study-factors td [data-exact]")) > 0, "study: the saved page's factors");
  await q.close();

  // At a narrow window nothing is wider than it, dark as well.
  writeFileSync(join(at, "runs", names[0], "metrics.jsonl"), "");
  const again = await explorer(at);
  const narrow = await page(390, 844, "dark", again.url);
  await narrow.goto(again.url);
  await settled(narrow);
  const wide = await narrow.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  check(wide <= 0, `study: ${wide} px wider than a narrow window`);
  await accessible(narrow, "study, narrow and dark");
  await narrow.close();
  await again.end();
  rmSync(dir, { recursive: true });
}
