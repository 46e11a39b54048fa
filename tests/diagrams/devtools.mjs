// Gives runs in Chrome's format to the program that reads them in Chromium's DevTools. usage: node devtools.mjs FOLDER
//
// Each slice must come out with its length, no end may be without its beginning, and none may be left out.

import { readFileSync, readdirSync } from "node:fs";
import { TraceModel, Types } from "@paulirish/trace_engine/models/trace/trace.js";

const folder = process.argv[2];
const complaints = [];
console.error = (text) => complaints.push(String(text));

/** The slices that DevTools finds: how many of each name, and whether each has its length. */
async function read(events) {
  complaints.length = 0;
  const model = TraceModel.Model.createWithAllHandlers(Types.Configuration.defaults());
  await model.parse(events, { metadata: {}, isCPUProfile: false, isFreshRecording: false });
  const threads = [...model.parsedTrace(0).data.Renderer.processes.values()].flatMap((process) => [...process.threads.values()]);
  return threads.flatMap((thread) => thread.entries).filter((slice) => slice.dur > 0).map((slice) => `${slice.tid} ${slice.ts} ${slice.name}`).sort();
}

let passed = 0, failed = 0;
for (const name of readdirSync(folder).filter((name) => name.endsWith(".json"))) {
  const load = () => JSON.parse(readFileSync(`${folder}/${name}`, "utf8")).traceEvents;
  try {
    const begun = load().filter((event) => event.ph === "B").map((event) => `${event.tid} ${event.ts} ${event.name}`).sort();
    const found = await read(load());
    if (!begun.length || begun.join("\n") !== found.join("\n") || complaints.length) throw new Error(`${begun.length} slices, ${found.length} found: ${complaints.join("; ")}`);
    // An end of another name is seen: else nothing was tested.
    const wrong = load();
    wrong.find((event) => event.ph === "E").name = "another";
    if ((await read(wrong)).length === begun.length) throw new Error("an end of another name went unseen");
    passed++;
  } catch (error) {
    failed++;
    console.log(`FAILED ${name}: ${String(error).slice(0, 500)}`);
  }
}
console.log(`DevTools: ${passed} passed, ${failed} failed`);
process.exitCode = failed || !passed ? 1 : 0;
