// map.mjs: the map: points, hover, click, lasso, search, keys, and 50,000 points in motion. Calls
// are listened to, held and answered inside the page, as every browser can.

/**
 * The page's own fetch for one call: kept in window.heard as text; held until window.release() is
 * called, or answered with `body` in place of the server.
 */
const tapped = (p, call, { hold = false, body = null } = {}) =>
  p.evaluate(
    ([call_, hold_, body_]) => {
      window.real ??= window.fetch.bind(window);
      window.asked = 0;
      window.heard = [];
      const free = new Promise((ok) => {
        window.release = ok;
      });
      window.fetch = async (at, options) => {
        if (!String(at).endsWith(`/api/${call_}`)) return window.real(at, options);
        window.asked++;
        if (body_ !== null)
          return new Response(body_, { headers: { "Content-Type": "text/event-stream" } });
        const r = await window.real(at, options);
        r.clone()
          .text()
          .then(
            (text) => window.heard.push(text),
            () => {}, // the page hung up
          );
        if (hold_) await free;
        return r;
      };
    },
    [call, hold, body],
  );

/** The map: the command's points, hover, click, lasso, search. */
export async function mapped({ page, settled, open, check, same, cli, url, recording }) {
  const p = await page(1280, 720, "light");
  await p.goto(url);
  await settled(p);
  await tapped(p, "map");
  await open(p, { view: "map", docs: "16", text: "" });
  const answer = await p.evaluate(() => window.heard[0]);
  const points = JSON.parse(
    answer.slice(answer.indexOf("data: ", answer.indexOf("event: done")) + 6),
  );
  const m = cli("map", recording, "--documents", "16");
  same(
    points.x,
    m.points.map((q) => q.x),
    "map: x",
  );
  same(
    points.y,
    m.points.map((q) => q.y),
    "map: y",
  );
  same(
    points.position,
    m.points.map((q) => q.position),
    "map: places",
  );
  let box = await (await p.$(".map canvas")).boundingBox();
  const at = (x, y) => [box.x + box.width * x, box.y + box.height * y];
  const span = (v) => [Math.min(...v), Math.max(...v)];
  const [x0, x1] = span(points.x);
  const [y0, y1] = span(points.y);
  const side = Math.max(x1 - x0, y1 - y0);
  const unit = 0.94 * Math.min(box.width, box.height);
  const place = (i) => [
    box.x + box.width / 2 + ((points.x[i] - (x0 + x1) / 2) / side) * unit,
    box.y + box.height / 2 - ((points.y[i] - (y0 + y1) / 2) / side) * unit,
  ];
  await p.mouse.move(...place(7));
  await p.waitForFunction(() => document.querySelector("#tip").textContent.includes("expects"));
  check(
    await p.$eval("#tip", (e) => !e.hidden && /\d+:\d+/.test(e.textContent)),
    "map: hover shows the place",
  );
  await p.keyboard.down("Shift");
  await p.mouse.move(...at(0.02, 0.02));
  await p.mouse.down();
  for (const q of [
    [0.98, 0.02],
    [0.98, 0.98],
    [0.02, 0.98],
    [0.02, 0.1],
  ])
    await p.mouse.move(...at(...q), { steps: 8 });
  await p.mouse.up();
  await p.keyboard.up("Shift");
  await settled(p);
  check(
    (await p.$eval("#chosen", (e) => Number(e.dataset.count))) === points.n,
    "map: a lasso around all chooses all",
  );
  const counts = new Map();
  for (const id of points.input) counts.set(id, (counts.get(id) ?? 0) + 1);
  check(
    (await p.$eval("[aria-label='chosen tokens'] tbody td.num", (e) => Number(e.textContent))) ===
      Math.max(...counts.values()),
    "map: counts of the chosen tokens",
  );
  check(p.url().includes("lasso="), "map: the lasso stands in the address");
  await p.click("text=choose none");
  await settled(p);
  await p.fill("#seek", "the");
  const found = points.input.filter((id) =>
    (points.tokens.find((t) => t.id === id).token ?? "").toLowerCase().includes("the"),
  ).length;
  check(
    parseInt(await p.$eval("#found", (e) => e.textContent)) === found && found > 0,
    "map: search finds the tokens",
  );
  await p.focus(".map canvas");
  await p.keyboard.press("+");
  await p.keyboard.press("ArrowLeft");
  await p.waitForTimeout(250);
  const eye = new URLSearchParams(p.url().split("#")[1]).get("eye").split(",").map(Number);
  check(eye[2] === 1.25 && eye[0] < 0.5, `map: keys move and zoom (${eye})`);
  await p.keyboard.press("0");
  await p.waitForTimeout(200);
  box = await (await p.$(".map canvas")).boundingBox();
  await p.mouse.click(...place(7));
  await settled(p);
  check(
    (await p.$eval("[aria-current=page]", (e) => e.textContent)) === "Corpus" &&
      /place=\d+/.test(p.url()),
    "map: a click opens the corpus",
  );
  await p.goBack();
  await settled(p);
  check(
    (await p.$eval("[aria-current=page]", (e) => e.textContent)) === "Map",
    "map: back returns",
  );
  // A map that takes long can be stopped.
  await open(p, { view: "predictions" });
  await tapped(p, "map", { hold: true });
  await p.evaluate(() => {
    location.hash = "view=map&docs=16&layer=1";
  });
  await p.waitForTimeout(300);
  check(
    (await p.$eval("#view", (e) => e.textContent)).includes("reading"),
    "map: says that it works",
  );
  await p.close();
}

/** Maps and patched runs go on when their view is left, and are there when one comes back. */
export async function left({ page, settled, open, check, url, text, clean, counter }) {
  const p = await page(1280, 720, "light");
  await p.goto(url);
  await settled(p);
  const long = {
    map: [{ view: "map", docs: "12" }, ".map canvas"],
    patch: [
      { view: "facts", pair: `${clean}|${counter}` },
      "[aria-label='patched runs by layers']",
    ],
  };
  for (const [call, [state, shown]] of Object.entries(long)) {
    await tapped(p, call, { hold: true });
    await p.evaluate(
      (h) => {
        location.hash = h;
      },
      new URLSearchParams({ text, ...state }).toString(),
    );
    await p.waitForFunction(() => window.asked > 0);
    await open(p, { view: "predictions" });
    await p.evaluate(
      (h) => {
        location.hash = h;
      },
      new URLSearchParams({ text, ...state }).toString(),
    );
    await p.waitForTimeout(100);
    await p.evaluate(() => window.release());
    await settled(p);
    check(await p.$(shown), `${call}: shown to whoever comes back`);
    const asked = await p.evaluate(() => window.asked);
    check(asked === 1, `${call}: asked for ${asked} times`);
  }
  await p.close();
}

/**
 * 50,000 points made here and given in place of the server's: frames while the map moves and zooms.
 */
export async function frames({ page, settled, open, quick, url, shots }) {
  const p = await page(1280, 720, "light");
  const n = 50000;
  const column = (f) => Array.from({ length: n }, (_, i) => f(i));
  let seed = 1;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  const made = {
    layer: 0,
    channel: -1,
    by: "input",
    n,
    seconds: 1,
    labels: [],
    tokens: column((i) => i)
      .slice(0, 60)
      .map((id) => ({ id, token: ` t${id}`, category: null })),
    topics: null,
    x: column((i) => ((i % 60) % 8) + random()),
    y: column((i) => Math.floor((i % 60) / 8) + random()),
    label: column((i) => i % 60),
    position: column((i) => i % 100),
    document: column(() => 0),
    place: column((i) => i % 100),
    input: column((i) => i % 60),
    target: column((i) => (i * 7) % 60),
    topic: column(() => -1),
  };
  await p.goto(url);
  await settled(p);
  await tapped(p, "map", { body: `event: done\ndata: ${JSON.stringify(made)}\n\n` });
  await open(p, { view: "map", docs: "0", text: "" });
  const run = await p.evaluate(async () => {
    const c = document.querySelector(".map canvas");
    const r = c.getBoundingClientRect();
    const times = [];
    const draws = [];
    const x = r.left + r.width / 2;
    const y = r.top + r.height / 2;
    const send = (kind, dx) =>
      c.dispatchEvent(
        new PointerEvent(kind, {
          pointerId: 1,
          clientX: x + dx,
          clientY: y + dx / 2,
          bubbles: true,
        }),
      );
    const frame = () => new Promise(requestAnimationFrame);
    send("pointerdown", 0);
    for (let i = 0; i < 240; i++) {
      if (i < 120) send("pointermove", 100 * Math.sin(i / 9));
      else {
        if (i === 120) send("pointerup", 0);
        c.dispatchEvent(
          new WheelEvent("wheel", {
            deltaY: i % 60 < 30 ? -20 : 20,
            clientX: x,
            clientY: y,
            cancelable: true,
          }),
        );
      }
      times.push(await frame());
      draws.push(Number(c.dataset.draw));
    }
    return { gaps: times.slice(1).map((t, i) => t - times[i]), draws };
  });
  const at = (list, q) =>
    [...list].sort((a, b) => a - b)[Math.floor(q * (list.length - 1))].toFixed(1);
  const seconds = run.gaps.reduce((a, b) => a + b, 0) / 1000;
  console.log(
    `50,000 points: ${(run.gaps.length / seconds).toFixed(1)} frames a second; ` +
      `between frames median ${at(run.gaps, 0.5)} ms, 95 % ${at(run.gaps, 0.95)} ms; ` +
      `drawing median ${at(run.draws, 0.5)} ms, 95 % ${at(run.draws, 0.95)} ms`,
  );
  quick(
    at(run.draws, 0.5) < 16.7,
    `50,000 points take ${at(run.draws, 0.5)} ms to draw: under 60 frames a second`,
  );
  if (shots) await p.screenshot({ path: `${shots}/map-50000.png` });
  await p.close();
}
