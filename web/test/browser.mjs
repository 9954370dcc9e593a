// browser.mjs RUN REC WORLDS [SHOTS]: the page of a trained run in Chromium, or with
// BROWSER=firefox in Firefox; each file here has one part. Pictures of every view go to SHOTS.
// ONLY=everyView,numbers runs some parts. Fails on any console error, request to another host,
// accessibility finding or wrong number.
import { hostileFiles, payloads, rebinding } from "./hostile.mjs";
import { frames, left, mapped } from "./map.mjs";
import { inner, numbers, steering, truths } from "./numbers.mjs";
import { byHand } from "./graph.mjs";
import { documents, graphAlone } from "./files.mjs";
import { beside, features } from "./features.mjs";
import { dense, listing } from "./listing.mjs";
import { reading } from "./reading.mjs";
import { graphs, names, saving } from "./saving.mjs";
import { study } from "./study.mjs";
import { superposition } from "./superposition.mjs";
import { begin } from "./tools.mjs";
import { everyView, paint, views } from "./views.mjs";
import { history, keyboard, walking } from "./walking.mjs";
import { candidates, fieldErrors, room, texts, words } from "./words.mjs";

const [run, recording, worlds, shots] = process.argv.slice(2);
const tools = await begin(run, recording, worlds, shots);
tools.text =
  process.env.PROMPT ?? "Once upon a time, there was a little dog named Tom. He liked to play";
tools.other = "Once upon a time, there was a little cat named Tom. He liked to play";
tools.all = tools.cli("facts", "patch", run, "--facts", `${worlds}/facts.json`);
[tools.clean, tools.counter] = tools.all.prompts.map((p) => p.noun);
tools.views = views(tools);

const parts = {
  paint,
  everyView,
  words,
  candidates,
  texts,
  fieldErrors,
  room,
  numbers,
  truths,
  steering,
  inner,
  mapped,
  left,
  frames,
  walking,
  history,
  keyboard,
  payloads,
  rebinding,
  hostileFiles,
  reading,
  saving,
  graphs,
  byHand,
  names,
  listing,
  dense,
  superposition,
  features,
  beside,
  graphAlone,
  study,
  documents: (t) => documents({ ...t, data: `${worlds}/valid.txt` }),
};
const only = process.env.ONLY ? process.env.ONLY.split(",") : null;
try {
  for (const [name, part] of Object.entries(parts)) {
    if (only && !only.includes(name)) continue;
    const from = performance.now();
    await part(tools);
    if (process.env.TIMES)
      console.log(`${name}: ${((performance.now() - from) / 1000).toFixed(1)} s`);
  }
} finally {
  await tools.end();
}
if (tools.problems.length) {
  console.log(`${tools.problems.length} problems`);
  process.exit(1);
}
console.log("the page works");
