// listing.mjs: the list of neurons and names given on a card: the numbers, orders and names that
// `label list` prints.
import { spawn } from "node:child_process";
import { exacts } from "./tools.mjs";

const rows = (p) =>
  p.$$eval("[aria-label=neurons] tbody tr", (rs) =>
    rs.map((r) => r.cells[0].textContent.replaceAll(" · ", ".")),
  );
const place = (n) => `${n.layer}.${n.channel}.${n.index}`;

export async function listing(t) {
  const { page, settled, open, check, same, cli, url, run, recording } = t;
  const p = await page(1280, 720, "light");
  await p.goto(url);
  await settled(p);
  const list = (...args) =>
    cli("label", "list", run, "--recording", recording, "-n", "50", ...args);
  const agrees = async (state, args, what) => {
    await open(p, { view: "neurons", ...state });
    const a = list(...args);
    same(await rows(p), a.neurons.map(place), `neurons, ${what}: the order`);
    const numbers = a.neurons.flatMap((n) =>
      [...(a.question ? [n.score] : []), n.frequency, n.strength, n.norm].filter((x) => x !== null),
    );
    same(
      await exacts(p, "[aria-label=neurons] [data-exact]"),
      numbers,
      `neurons, ${what}: numbers`,
    );
    check(
      (await p.$eval("#found", (e) => e.textContent)).includes(a.found.toLocaleString("en-US")),
      `neurons, ${what}: how many there are`,
    );
    return a;
  };
  await agrees({}, [], "the strongest");
  await agrees({ row: "50" }, ["--from", "50"], "the next page");
  await agrees(
    { sort: "frequency", down: "1" },
    ["--sort", "frequency", "--reverse"],
    "the rarest",
  );
  await agrees({ sort: "random", seed: "7" }, ["--sort", "random", "--seed", "7"], "any");
  await agrees({ ask: "fires_on", word: "dog" }, ["--fires-on", "dog"], "firing on a word");
  await agrees({ ask: "raises", word: "dog" }, ["--raises", "dog"], "raising a word");
  await agrees(
    { ask: "lowers", word: "dog", layer: "1" },
    ["--lowers", "dog", "-l", "1"],
    "lowering",
  );
  const near = await agrees({ ask: "near", word: "1.0.7" }, ["--near", "1.0.7"], "near another");
  check(place(near.neurons[0]) === "1.0.7", "neurons: the nearest is the neuron itself");
  await agrees({ like: "dog" }, ["--find", "dog"], "by label");

  // By hand: a question, its word, the keys of the table, the card.
  await open(p, { view: "neurons" });
  await p.selectOption("#ask", "raises");
  await settled(p);
  await p.fill("#word", "cat");
  await p.keyboard.press("Enter");
  await p.keyboard.press("Escape");
  await settled(p);
  same(await rows(p), list("--raises", "cat").neurons.map(place), "neurons: asked by hand");
  await p.fill("#word", "");
  await p.keyboard.press("Enter");
  await settled(p);
  check(!(await p.$(".error")), "neurons: a question without a word shows all");
  await p.fill("#like", "no label holds this");
  await p.keyboard.press("Enter");
  await settled(p);
  check((await p.textContent("#found")).includes("No neuron is so"), "neurons: none found is said");
  await open(p, { view: "neurons", ask: "near", word: "9.9.9" });
  check(
    (await p.$(".error")) && (await p.inputValue("#word")) === "9.9.9",
    "neurons: an error stands under its field and keeps it",
  );
  await open(p, { view: "neurons" });
  await p.keyboard.press("PageDown");
  await settled(p);
  check(p.url().includes("row=50"), "neurons: PageDown turns the page");
  await p.focus("[aria-label=neurons] tbody tr:first-child td:nth-child(2) button");
  await p.keyboard.press("ArrowDown");
  const chosen = (await rows(p))[1];
  await p.keyboard.press("Enter");
  await settled(p);
  check(p.url().includes(`neuron=${chosen}`), "neurons: Enter opens the card");

  // A name: given, seen in the list and by the command, taken away.
  const before = await p.textContent("#called");
  await p.fill("#neuron-name", "<b>a name</b>");
  await p.keyboard.press("Enter");
  await p.waitForFunction(() => document.querySelector("#called").textContent.includes("a name"));
  same(
    list("--named").neurons.map((n) => [place(n), n.name]),
    [[chosen, "<b>a name</b>"]],
    "a name is kept beside the model",
  );
  await open(p, { view: "neurons", named: "1" });
  same(await rows(p), [chosen], "neurons: those with a name");
  check(
    (await p.textContent("[aria-label=neurons]")).includes("<b>a name</b>"),
    "the list says it",
  );
  await open(p, { view: "neuron", neuron: chosen });
  await p.fill("#neuron-name", "");
  await p.keyboard.press("Enter");
  await p.waitForFunction((b) => document.querySelector("#called").textContent === b, before);
  check(!list("--named").found, "a name can be taken away");
  await p.click('text="next" >> visible=true');
  await settled(p);
  const [l, ch, i] = chosen.split(".").map(Number);
  check(p.url().includes(`neuron=${l}.${ch}.${i + 1}`), "the card goes on to the next neuron");
  await p.click('text="like it"');
  await settled(p);
  same((await rows(p))[0], `${l}.${ch}.${i + 1}`, "the card leads to neurons like it");
  await p.close();
}

/** A model without a router: its neurons have the same card and list, from what is kept of them. */
export async function dense(t) {
  const { page, settled, check, same, cli, accessible } = t;
  const [run, recording] = [process.env.DENSE, process.env.DENSE_RECORDING];
  const server = spawn(
    process.env.SGATLIN ?? "build/sgatlin",
    ["-q", "explore", run, "--recording", recording],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  try {
    const url = await new Promise((ok) => server.stdout.once("data", (d) => ok(String(d).trim())));
    const p = await page(1280, 720, "light", url);
    await p.goto(url);
    await settled(p);
    await t.open(p, { view: "neurons", text: "" });
    const list = cli("label", "list", run, "--recording", recording, "-n", "50");
    same(await rows(p), list.neurons.map(place), "dense: the order of neurons");
    same(
      await exacts(p, "[aria-label=neurons] [data-exact]"),
      list.neurons.flatMap((n) => [n.frequency, n.strength, n.norm]),
      "dense: their numbers",
    );
    const n = list.neurons[0];
    await t.open(p, { view: "neuron", text: "", neuron: place(n) });
    const at = ["-l", n.layer, "-c", n.channel, "-i", n.index].map(String);
    const card = cli("neuron", run, ...at, "--recording", recording, "--excerpts", "8");
    check(card.recorded.kept, "dense: the strongest values are kept");
    same(
      await p.$$eval("[aria-label=excerpts] tbody tr", (rs) =>
        rs.map((r) => Number(r.cells[2].querySelector("[data-exact]").dataset.exact)),
      ),
      card.recorded.excerpts.map((e) => e.value),
      "dense: excerpts",
    );
    same(
      await p.$eval("#fires", (e) => Number(e.dataset.count)),
      card.recorded.count,
      "dense: how often",
    );
    same(
      await p.$$eval("svg.chart[data-counts]", (es) => es.map((e) => e.dataset.counts)),
      [card.recorded.values.counts.join(",")],
      "dense: its range",
    );
    await accessible(p, "dense neuron");
    await t.open(p, { view: "corpus", text: "" });
    check(
      (await p.textContent("#view")).includes("no router, so no circuits"),
      "dense: the corpus says what it lacks",
    );
    await p.close();
  } finally {
    server.kill("SIGINT");
  }
}
