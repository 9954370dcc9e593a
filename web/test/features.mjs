// features.mjs: features of transcoders and a second model: the graph with errors, a feature's card
// and its neighbours, features scaled, two models on one prompt; numbers against the command line.
import { spawn } from "node:child_process";
import { exacts } from "./tools.mjs";

async function serve(t, args, look) {
  const server = spawn(process.env.SGATLIN ?? "build/sgatlin", ["-q", "explore", ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const url = await new Promise((ok) => server.stdout.once("data", (d) => ok(String(d).trim())));
    const p = await t.page(1280, 720, "light", url);
    await p.goto(url);
    await t.settled(p);
    await look(p, url);
    await p.close();
  } finally {
    server.kill("SIGINT");
  }
}

/** Every view of these at a phone's width and in dark: nothing wider than the window, axe-core. */
async function narrow(t, url, views) {
  const p = await t.page(390, 844, "dark", url);
  await p.goto(url);
  await t.settled(p);
  for (const [name, state] of Object.entries(views)) {
    await t.open(p, state);
    t.check(!(await p.$(".error")), `${name}: an error`);
    const wide = await p.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    t.check(wide <= 0, `${name}: ${wide} px wider than the window`);
    const outputs = await p.$$eval("svg.graph .node[aria-label^=output]", (es) =>
      es.map((e) => {
        const [box, frame] = [e, e.closest(".scroll")].map((x) => x.getBoundingClientRect());
        return box.left >= frame.left && box.right <= frame.right;
      }),
    );
    if (name === "beside")
      t.check(
        outputs.length === 2 && outputs.every(Boolean),
        `${name}: outputs out of sight ${outputs}`,
      );
    await t.accessible(p, `${name} 390 dark`);
    if (t.shots) await p.screenshot({ path: `${t.shots}/${name}-390-dark.png` });
  }
  await p.close();
}

export async function features(t) {
  const { check, same, near, cli, text } = t;
  const [run, tc, recording] = [
    process.env.DENSE,
    process.env.DENSE_TC,
    process.env.DENSE_RECORDING,
  ];
  await serve(t, [run, "--sparse", tc, "--recording", recording], async (p, url) => {
    await t.open(p, { view: "graph", feat: "1", keep: "0.95" });
    check((await p.$$("svg.graph polygon.node")).length > 0, "features: errors are diamonds");
    const said = await p.$eval("#graph-share", (e) => e.textContent);
    const c = cli("circuit", run, tc, "--prompt", text, "--svg", "/dev/null");
    check(
      said.includes("features") && said.includes("back to what the features miss"),
      `features: the graph tells its errors (${said})`,
    );
    check(c.graph.error_share > 0, "features: the command tells errors, too");
    await t.accessible(p, "graph of features");
    const dot = p.locator("svg.graph circle.node[aria-label*=feature]").first();
    const label = await dot.getAttribute("aria-label");
    await dot.click();
    await p.waitForSelector("#node-card .small-card");
    const [, layer, index] = /layer (\d+) feature (\d+)/.exec(label).map(Number);
    await p.click("#node-card button.link");
    await t.settled(p);
    const card = cli("sparse", "feature", run, tc, "-l", `${layer}`, "-i", `${index}`);
    same(
      await exacts(p, "[aria-label=Reads] [data-exact]"),
      card.reads.map((x) => x.value),
      "features: what it reads",
    );
    same(
      await exacts(p, "[aria-label=Writes] [data-exact]"),
      card.writes.map((x) => x.value),
      "features: what it writes",
    );
    same(
      await exacts(p, "[aria-label='features like it'] [data-exact]"),
      card.alike.flatMap((x) => [x.encoder, x.decoder]),
      "features: those like it",
    );
    // Scaled: taken away here, by hand; then a slider.
    await p.click("button:has-text('take this one away here')");
    await t.settled(p);
    const held = await t.exact(p, "#f-linear");
    const truth = await t.exact(p, "#f-true");
    near([await t.exact(p, "#f-rerouting")], [truth - held], 1e-6, "features: the difference");
    await p.locator("#f0").focus();
    await p.keyboard.press("ArrowRight");
    await t.settled(p);
    check(p.url().includes("factors="), "features: factors stand in the address");
    check((await t.exact(p, "#f-linear")) !== held || held === 0, "features: a slider moves it");
    await p.click("#frec");
    await t.settled(p);
    check(
      (await p.$("[aria-label='where it acts most']")) !== null,
      "features: where it acts in the recording",
    );
    await t.accessible(p, "a feature");
    await p.click("button:has-text('next')");
    await t.settled(p);
    check(!(await p.$(".error")), "features: the next one");
    await narrow(t, url, {
      "graph-features": { view: "graph", feat: "1" },
      feature: { view: "feature", feature: "0.1", factors: "0.1.*0" },
      "feature-alone": { view: "feature", text: "", feature: "1.3" },
    });
  });
}

export async function beside(t) {
  const { check, near, cli, run, text } = t;
  const [dense, tc] = [process.env.DENSE, process.env.DENSE_TC];
  const args = [run, "--beside", dense, "--beside-sparse", tc];
  await serve(t, args, async (p, url) => {
    await t.open(p, { view: "beside" });
    const shares = await exacts(p, ".error-share");
    check(shares.length === 2 && shares[0] === 0 && shares[1] > 0, `beside: errors ${shares}`);
    const verdict = await p.$eval("#beside-verdict", (e) => e.textContent);
    check(verdict.includes("to errors"), `beside: ${verdict}`);
    const target = await p.evaluate(async () => {
      const token = sessionStorage.getItem("token");
      const r = await fetch("/api/predict", {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-Sgatlin-Token": token },
        body: JSON.stringify({
          text: new URLSearchParams(location.hash.slice(1)).get("text"),
          top: 1,
        }),
      });
      const list = (await r.json()).predictions;
      return list[list.length - 1][0].id;
    });
    const c = cli(
      "circuit",
      dense,
      tc,
      "--prompt",
      text,
      "--target",
      `id:${target}`,
      "--node-threshold",
      "0.6",
      "--svg",
      "/dev/null",
    );
    near([shares[1]], [c.graph.error_share], 1e-9, "beside: the share that is error");
    check((await p.$$("#beside-0 svg.graph polygon")).length === 0, "beside: neurons, no errors");
    check((await p.$$("#beside-1 svg.graph polygon")).length > 0, "beside: features and errors");
    await t.accessible(p, "beside");
    const node = p.locator("#beside-1 svg.graph polygon.node").first();
    await node.click();
    check(
      (await p.$eval("#beside-node-1 h3", (e) => e.textContent)).includes("miss"),
      "beside: a click tells what a node is",
    );
    if (t.shots) await p.screenshot({ path: `${t.shots}/beside-1280-light.png` });
    await narrow(t, url, { beside: { view: "beside" } });
  });
}
