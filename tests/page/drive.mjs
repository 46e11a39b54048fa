// Opens the pages of a folder in Chromium, without a network, and does with them what a person would.
//
//   node drive.mjs FOLDER [SCREENSHOTS]
//
// FOLDER holds what `PAGES=FOLDER cargo test --test page` writes. Closes with `N passed, M failed`.

import { readFileSync, readdirSync, writeFileSync, mkdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import { contrast, panels, same, tabStops } from "./look.mjs";

const [folder, shots] = process.argv.slice(2).map((path) => resolve(path));
const files = readdirSync(folder).filter((file) => file.endsWith(".html") && file !== "many.html");
if (shots) mkdirSync(shots, { recursive: true });

let passed = 0, failed = 0;
function is(name, expected, got) {
  if (Object.is(expected, got)) passed++;
  else {
    failed++;
    console.log(`FAILED ${name}\n  expected: ${String(expected).slice(0, 400)}\n  got:      ${String(got).slice(0, 400)}`);
  }
}
const ok = (name, got, why = "") => is(name, "true", got ? "true" : `false ${why}`);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

/** A fresh page, whose every message, error and request is kept. */
async function open(file, { hash = "", ...settings } = {}) {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 }, offline: true, ...settings });
  const page = await context.newPage();
  const noise = [];
  page.on("console", (message) => noise.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => noise.push(`error: ${error}`));
  page.on("dialog", (dialog) => noise.push(`dialog: ${dialog.message()}`) && dialog.dismiss());
  page.on("request", (request) => /^(file|data|blob):/.test(request.url()) || noise.push(`request: ${request.url()}`));
  const url = pathToFileURL(join(folder, file)).href;
  await page.goto(url + hash);
  const done = async (name) => {
    is(`${name}: nothing on the console, no request`, "", noise.join("; "));
    await context.close();
  };
  return { page, url, done, noise, context };
}

const cursor = (page) => page.evaluate(() => window.ropewalk.cursor());
const press = (page, ...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());

/** Every panel follows one cursor: what it shows at event n does not depend on the way there. */
async function oneCursor(file) {
  const { page, done } = await open(file);
  const n = await page.evaluate(() => window.ropewalk.count);
  // Of a long run every seventh event is looked at; each is stepped to.
  const every = n > 200 ? 7 : 1;
  const seen = new Map();
  for (let i = 0; i < n; i++) {
    if (i % every === 0) {
      is(`${file}: a step on`, i, await cursor(page));
      seen.set(i, await page.evaluate(panels));
    }
    await press(page, i % 2 ? "ArrowRight" : "s");
  }
  is(`${file}: it stops at the end`, n - 1, await cursor(page));
  const compare = async (how, i) => is(`${file}: ${how} at ${i}`, "", same(seen.get(i), await page.evaluate(panels)));
  for (let i = n - 1; i >= 0; i--) {
    if (seen.has(i)) await compare("back by steps", i);
    await press(page, i % 2 ? "ArrowLeft" : "S");
  }
  is(`${file}: it stops at the beginning`, 0, await cursor(page));
  // In an order that leaves none out and steps to none.
  const places = [...seen.keys()], stride = [17, 13, 11, 7, 5, 3].find((k) => places.length % k) ?? 1;
  for (let k = 0, at = 0; k < places.length; k++, at = (at + stride) % places.length) {
    await page.evaluate((i) => window.ropewalk.move(i), places[at]);
    await compare("a jump", places[at]);
  }
  await done(file);
}

async function byKeyboard(file) {
  const { page, url, done } = await open(file, { hash: "#s=1" });
  const kinds = await page.evaluate(() => document.getElementById("trace").textContent.trim().split("\n").map((l) => JSON.parse(l)).filter((e) => e.s));
  const at = async () => kinds[await cursor(page)];
  await press(page, "n");
  ok("n goes to a callback or a step", /^(cb\.begin|d\.step|x\.poll)$/.test((await at()).k), (await at()).k);
  await press(page, "f");
  ok("f goes to the end of that frame", "b" in (await at()), (await at()).k);
  await press(page, "F");
  ok("F goes to its start", /begin|step|poll/.test((await at()).k), (await at()).k);
  await press(page, "t");
  is("t goes to the next turn", "turn.begin", (await at()).k);
  await press(page, "PageUp");
  ok("Page up goes back", (await cursor(page)) === 0 || (await at()).k === "turn.begin");
  await press(page, "End");
  is("End goes to the last event", kinds.length - 1, await cursor(page));
  await press(page, "Home");
  is("Home goes to the first event", 0, await cursor(page));
  await press(page, "Backspace");
  is("Backspace goes back along the jumps", kinds.length - 1, await cursor(page));
  await press(page, "Home", "e");
  ok("e goes to a failure", (await at()).k.startsWith("f."), (await at()).k);
  const before = await at();
  await press(page, "w");
  const led = await at();
  ok("w goes to what led there", led.s < before.s && [before.cause, before.in, before.b].includes(led.s));
  await press(page, "W");
  ok("W goes all the way", (await at()).s < led.s);
  await page.evaluate((i) => window.ropewalk.move(i), kinds.findIndex((e) => e.k === "d.step" && e.reg));
  const registered = (await at()).reg;
  await press(page, "g");
  is("g goes to where it was registered", registered, (await at()).s);
  await press(page, "r");
  ok("r goes to the next event of the Deferred", JSON.stringify(await at()).includes('"d1"') || (await at()).d !== undefined);
  await press(page, "m", "a", "End", "'", "a");
  ok("a mark is found again", JSON.stringify(await at()).length > 0 && (await cursor(page)) < kinds.length - 1);
  await press(page, "Home", "/");
  await page.keyboard.type("engine down");
  await press(page, "Enter");
  ok("find goes to the first hit", JSON.stringify(await at()).includes("engine down"), JSON.stringify(await at()));
  ok("find counts the hits", /^1 \/ \d+$/.test(await page.textContent("#found")), await page.textContent("#found"));
  await press(page, "Escape", "Home", "b");
  await page.fill("#break-text", "f.*");
  await press(page, "Enter", "Escape", "c");
  ok("c goes to a breakpoint", (await at()).k.startsWith("f."), (await at()).k);
  await press(page, "?");
  ok("? shows the keys", await page.isVisible("#help-box"));
  await press(page, "Escape", "2");
  is("2 shows more detail", "2", await page.inputValue("#level"));
  await press(page, "Home");
  await page.selectOption("#speed", "200");
  await page.evaluate(() => document.activeElement.blur());
  await press(page, "p");
  is("while it plays, nothing is read out", "off", await page.getAttribute("#sentence", "aria-live"));
  await page.waitForFunction(() => window.ropewalk.cursor() >= 2);
  await press(page, "Escape");
  is("a key ends it", "polite", await page.getAttribute("#sentence", "aria-live"));

  // The address.
  await page.goto(`${url}#s=${kinds[20].s}&sel=d2&lvl=3`);
  is("a link leads to its event", 20, await cursor(page));
  is("a link selects", "d2", await page.evaluate(() => document.querySelector("#rails .rail").dataset.rail));
  is("a link sets the level", "3", await page.inputValue("#level"));
  await page.focus("#slider");
  await press(page, "ArrowRight");
  await page.waitForFunction((s) => location.hash.startsWith(`#s=${s}&sel=d2&lvl=3`), kinds[21].s);
  await press(page, "End");
  await page.waitForFunction((s) => location.hash.startsWith(`#s=${s}&`), kinds[kinds.length - 1].s);
  await page.goBack();
  await page.waitForFunction(() => window.ropewalk.cursor() === 21);
  passed++;
  await done(`${file}: keys`);
}

/** The mark of the step at the cursor lies on its row, and not behind it; before the first Deferred there is no rail. */
async function whatTheRailsShow(file) {
  const { page, done } = await open(file);
  const kinds = await page.evaluate(() => document.getElementById("trace").textContent.trim().split("\n").map((l) => JSON.parse(l)).filter((e) => e.s));
  const steps = kinds.map((e, i) => (e.k === "d.step" && !e.sys ? i : -1)).filter((i) => i >= 0);
  for (const i of steps) {
    await page.evaluate((i) => window.ropewalk.move(i), i);
    const hits = await page.evaluate(() => {
      const row = document.querySelector("#rails .row.step.here"), track = row.closest(".rail").querySelector("svg.track");
      track.style.pointerEvents = "auto";
      const { left, top, height } = row.getBoundingClientRect();
      return [...Array(80).keys()].filter((x) => document.elementFromPoint(left + x, top + height / 2)?.matches("svg.track .node")).length;
    });
    ok(`${file}: the mark of the step at ${i} is seen`, hits > 4, `${hits}`);
  }
  const first = kinds.findIndex((e) => /^d[0-9]/.test(e.d ?? ""));
  ok(`${file}: something comes before the first Deferred`, first > 0);
  await page.evaluate(() => window.ropewalk.move(0));
  is(`${file}: no rail yet`, 0, await page.locator("#rails .rail").count());
  await page.click("#rails .empty button");
  is(`${file}: a key leads to the first one`, first, await cursor(page));
  is(`${file}: and there is its rail`, 1, await page.locator("#rails .rail").count());
  await done(`${file}: what the rails show`);
}

async function byScreenReader(file) {
  const { page, done, context } = await open(file);
  const cdp = await context.newCDPSession(page);
  const tree = async () => (await cdp.send("Accessibility.getFullAXTree")).nodes.filter((node) => !node.ignored);
  const text = (node) => node?.name?.value ?? "";
  const prop = (node, name) => node?.properties?.find((p) => p.name === name)?.value?.value;
  for (const s of [24, 48, 70]) {
    await page.evaluate((i) => window.ropewalk.move(i), s);
    const nodes = await tree();
    const role = (role, name) => nodes.find((node) => node.role?.value === role && (!name || name.test(text(node))));
    const sentence = await page.textContent("#sentence");
    ok(`${s}: the sentence is a status`, nodes.some((node) => node.role?.value === "status" && node.childIds?.length));
    ok(`${s}: the sentence is in the tree`, nodes.some((node) => node.role?.value === "StaticText" && text(node) === sentence));
    ok(`${s}: there is a slider`, role("slider", /^Event$/));
    // The protocol tells of a native slider only its number.
    ok(`${s}: the slider says the sentence`, (await page.getAttribute("#slider", "aria-valuetext")).endsWith(sentence));
    ok(`${s}: the events are a list`, role("listbox", /^Events$/));
    const inEvents = (node) => node && (node === role("listbox", /^Events$/) || inEvents(nodes.find((other) => other.nodeId === node.parentId)));
    const options = nodes.filter((node) => node.role?.value === "option" && inEvents(node));
    ok(`${s}: with their numbers and words`, options.length >= 10, `${options.length} options`);
    is(`${s}: one of them is selected`, 1, options.filter((node) => prop(node, "selected") === true || prop(node, "selected") === "true").length);
    ok(`${s}: the rails are a list`, role("list", /^d\d+/), nodes.filter((node) => node.role?.value === "list").map(text).join("|"));
    ok(`${s}: why is a list`, role("list", /^What led here/));
    ok(`${s}: no drawing is in the tree`, !nodes.some((node) => /^(graphics|SvgRoot|img)/.test(node.role?.value ?? "")));
  }
  const stops = await tabStops(page);
  ok("one tab stop a region", stops.length <= 26 && new Set(stops).size === stops.length, stops.join(" "));
  await done(`${file}: screen reader`);
}

async function looks(file) {
  for (const [scheme, width, height] of [["light", 1400, 900], ["dark", 1400, 900], ["light", 360, 740], ["dark", 360, 740], ["light", 700, 450], ["light", 820, 1100]]) {
    const { page, done } = await open(file, { viewport: { width, height }, colorScheme: scheme, deviceScaleFactor: width === 700 ? 2 : 1, reducedMotion: "reduce" });
    const n = await page.evaluate(() => window.ropewalk.count);
    for (const i of [0, Math.floor(n * 0.4), Math.floor(n * 0.8), n - 1]) {
      await page.evaluate((i) => window.ropewalk.move(i), i);
      const wide = await page.evaluate(() => document.scrollingElement.scrollWidth);
      ok(`${scheme} ${width}: nothing sticks out at ${i}`, wide <= width, `${wide}`);
      // The list of findings may be long, and is scrolled; the first one is whole.
      const cut = await page.evaluate(() => document.querySelector("#lints li").getBoundingClientRect().bottom - document.getElementById("lints").getBoundingClientRect().bottom);
      ok(`${scheme} ${width}: the first finding is in sight at ${i}`, cut <= 0, `${cut}`);
      const low = await page.evaluate(contrast);
      ok(`${scheme} ${width}: contrast at ${i}`, low.length === 0, low.slice(0, 6).join("; "));
      if (shots) await page.screenshot({ path: join(shots, `${file.replace(".html", "")}-${scheme}-${width}-${i}.png`), fullPage: width < 1000 });
    }
    await done(`${file} ${scheme} ${width}`);
  }
  const { page, done } = await open(file);
  await page.click("#theme");
  is("the switch makes it dark", "dark", await page.getAttribute("html", "data-theme"));
  await page.emulateMedia({ forcedColors: "active" });
  const dash = (lane) => page.evaluate((lane) => getComputedStyle(document.querySelector(`.track .go.${lane}`)).strokeDasharray, lane);
  await page.evaluate(() => window.ropewalk.move(window.ropewalk.count - 1));
  ok("with forced colours the lanes still differ", (await dash("c")) !== (await dash("e")), await dash("e"));
  if (shots) await page.screenshot({ path: join(shots, "forced.png") });
  await page.emulateMedia({ forcedColors: "none" });
  const pdf = await page.pdf();
  ok("it prints", pdf.length > 10000, `${pdf.length}`);
  await page.emulateMedia({ media: "print" });
  ok("on paper there are the rail and its events", await page.evaluate(() => document.querySelectorAll("#print .rail, #print tr").length > 5 && getComputedStyle(document.querySelector("main")).display === "none"));
  if (shots) await page.screenshot({ path: join(shots, "print.png"), fullPage: true });
  await done("switches");
  const plain = await open(file, { javaScriptEnabled: false });
  ok("without a script the text chain is there", /ok +err/.test(await plain.page.innerText("noscript pre")), "");
  await plain.done("no script");
}

/** The parts of a run stand side by side, over one axis of time, with what the trace has counted under them. */
async function sideBySide(file) {
  const { page, url, done, context } = await open(file);
  const events = await page.evaluate(() => document.getElementById("trace").textContent.trim().split("\n").map((l) => JSON.parse(l)).filter((e) => e.s));
  const starts = events.filter((e) => e.k === "note" && e.msg.startsWith("part: "));
  const table = () => page.evaluate(() => [...document.querySelectorAll("#rails table tr")].map((row) => [...row.children].map((cell) => cell.innerText.trim().replace(/\n/g, " / "))));
  const row = async (name) => (await table()).find(([first]) => first === name) ?? [];
  is("a column for each part", "after,callbacks,deferreds,async", (await table())[0].join());
  const counted = (test) => starts.map((start, p) => events.filter((e) => e.s >= start.s && e.s < (starts[p + 1]?.s ?? Infinity) && test(e)).length).join();
  is("what is counted: turns", counted((e) => e.k === "turn.begin"), (await row("turns")).slice(1).join());
  is("steps and polls", counted((e) => /^(d\.step|x\.poll)$/.test(e.k)), (await row("steps and polls")).slice(1).join());
  is("Deferreds and tasks", counted((e) => /^(d\.new|x\.spawn)$/.test(e.k)), (await row("Deferreds and tasks made")).slice(1).join());
  is("time", "10.0 ms,10.0 ms,10.0 ms", (await row("time")).slice(1).join());
  ok("where an error was handled", /^no failure,f1 handled :\d+,no failure$/.test((await row("errors")).slice(1).join()), (await row("errors")).join());
  const [, callbacks, chain, task] = await row("10.0 ms");
  ok("what happened at the same time stands in one row", /called back/.test(callbacks) && /fired ok/.test(chain) && /woken/.test(task), [callbacks, chain, task].join(" | "));
  ok("a wait of the task stands where it begins", /awaits d\d+/.test((await row("0"))[3]), (await row("0")).join(" | "));
  // The cursor.
  const awaits = events.findIndex((e) => e.k === "x.wait");
  await page.evaluate((i) => window.ropewalk.move(i), awaits);
  const marked = () => page.evaluate(() => [...document.querySelectorAll("#rails td [aria-current], #rails thead .here button")].map((e) => e.dataset.key.split("/")[1]).join());
  is("the event and its part are marked", `${starts[2].s - 1},${awaits}`, await marked());
  await page.click("#rails tbody tr:last-child button");
  ok("a click goes to that event", (await cursor(page)) < awaits && (await cursor(page)) > 0);
  const nodes = (await (await context.newCDPSession(page)).send("Accessibility.getFullAXTree")).nodes;
  const named = (role) => nodes.filter((node) => !node.ignored && node.role?.value === role).map((node) => node.name?.value);
  ok("a screen reader finds a table", named("columnheader").includes("async") && named("rowheader").includes("turns"), named("rowheader").join());
  // Between two turns.
  await page.evaluate((i) => window.ropewalk.move(i), starts[1].s - 1);
  ok("what the program does between two turns belongs to none", await page.evaluate(() => !!document.querySelector("#strip .tb.out.here")));
  await press(page, "t");
  is("t goes on to the next turn", "turn.begin", events[await cursor(page)].k);
  await press(page, "T");
  is("and back to the one before", "turn.begin", events[await cursor(page)].k);
  // Rails instead, and back.
  await press(page, "v");
  is("v shows the rails", 0, (await table()).length);
  await page.waitForFunction(() => location.hash.endsWith("&parts=0"));
  await page.reload();
  is("a link keeps that", 0, (await table()).length);
  await press(page, "v");
  ok("v once more shows the parts", (await table()).length > 3);
  await page.goto(`${url}#sel=d1`);
  is("a link to a Deferred shows its rail", 0, (await table()).length);
  await done(file);
  for (const [scheme, width] of [["dark", 360], ["light", 360], ["dark", 1400], ["light", 1400]]) {
    const { page, done } = await open(file, { hash: "#s=30", viewport: { width, height: 800 }, colorScheme: scheme });
    const wide = await page.evaluate(() => document.scrollingElement.scrollWidth), low = await page.evaluate(contrast);
    ok(`parts ${scheme} ${width}: nothing sticks out`, wide <= width, `${wide}`);
    ok(`parts ${scheme} ${width}: contrast`, low.length === 0, low.slice(0, 6).join("; "));
    await done(`${file} ${scheme} ${width}`);
  }
}

/** The life of a failure that a list takes ends there, and so does the list. */
async function keptByAGroup(file) {
  const { page, done } = await open(file);
  const at = async (s) => JSON.parse(await page.evaluate((s) => window.ropewalk.state(s), s));
  const events = await page.evaluate(() => document.getElementById("trace").textContent.trim().split("\n").map((l) => JSON.parse(l)).filter((e) => e.s));
  const i = events.findIndex((e) => e.k === "g.got" && e.lane === "e"), { g } = events[i];
  const failures = (state) => state.objects.filter(([id]) => id[0] === "f").map(([, status]) => status);
  ok("the failure is kept", failures(await at(i)).includes("kept by a group") && !failures(await at(i - 2)).includes("kept by a group"));
  const end = await at(events.length - 1);
  is("the list is done", "done", end.objects.find(([id]) => id === g)[1]);
  ok("no failure is left open", !end.live.some(([letter]) => letter === "f"), JSON.stringify(end.live));
  await done(file);
}

/** A run without Deferreds and tasks has no rails: what it has stands in their place. */
async function withoutRails(file) {
  for (const width of [360, 820, 1400]) {
    const { page, done } = await open(file, { viewport: { width, height: 900 } });
    const box = (id) => page.evaluate((id) => document.getElementById(id).getBoundingClientRect().toJSON(), id);
    is(`${width}: no rails are shown`, false, await page.isVisible("#rails"));
    const objects = await box("objects"), events = await box("events-list");
    ok(`${width}: the objects are`, objects.width > 250 && objects.height > 40, JSON.stringify(objects));
    if (width === 1400) is("beside the events", Math.round(events.top), Math.round(objects.top));
    await done(`${file} ${width}`);
  }
}

/** What the library fires stands there with its reason, and what held up a late timer stands in Why. */
async function reasons() {
  const { page, done } = await open("cancel.html");
  await page.evaluate(() => window.ropewalk.move(window.ropewalk.count - 1));
  const rail = (id) => page.evaluate((id) => {
    if (document.querySelector(`#rails [data-rail=${id}]`) === null) return "";
    return [...document.querySelectorAll("#rails .head h3, #rails .head b, #rails .row")].map((e) => [...e.querySelectorAll(".t, .n")].map((part) => part.textContent.trim()).join(" ") || e.textContent).join(" / ");
  }, id);
  const show = (id) => page.evaluate((id) => (location.hash = `s=${window.ropewalk.count}&sel=${id}`), id).then(() => page.waitForSelector(`#rails [data-rail=${id}]`));
  await show("d2");
  ok("a canceller that does not fire", /cancel \S*:\d+ the canceller did not fire it: it fails now \/ err f1 “the Deferred was cancelled” cancelled \S*:\d+/.test(await rail("d2")), await rail("d2"));
  await show("d3");
  ok("no canceller", /err f2 “the Deferred was cancelled” cancelled \S*:\d+/.test(await rail("d3")), await rail("d3"));
  await show("d5");
  ok("a cancel is passed on before it arrives", /paused on (d\d+).* \/ cancel \S+ passed on to \1 \/ \1 asked \/ cancel .* \/ err f3 .* cancelled .* \/ resumed with/.test(await rail("d5")), await rail("d5"));
  await done("cancelled");
  const late = await open("late.html");
  const events = await late.page.evaluate(() => document.getElementById("trace").textContent.trim().split("\n").map((l) => JSON.parse(l)).filter((e) => e.s));
  const heldUp = (label) => late.page.evaluate((i) => (window.ropewalk.move(i), [...document.querySelectorAll("#why .hop")].map((e) => [...e.querySelectorAll(".rel, .what")].map((part) => part.textContent).join(" ")).filter((row) => row.includes("held up by")).join()), events.findIndex((e) => e.k === "note" && e.msg === label));
  is("what held up the late timer", "⋯ held up by slow", await heldUp("late"));
  is("nothing held up the other one", "", await heldUp("slow"));
  await late.done("late.html");
}

/** A run in which nothing was made says so, and nothing moves when the question is over. */
async function withoutObjects(file) {
  for (const width of [360, 1400]) {
    const { page, done } = await open(file, { viewport: { width, height: 900 } });
    const top = () => page.evaluate(() => document.querySelector("main").getBoundingClientRect().top + scrollY);
    const at = await top();
    ok(`${width}: no objects, in words`, (await page.innerText("#objects")).startsWith("This run made no object"), await page.innerText("#objects"));
    is(`${width}: the file keeps its name`, "main.rs", await page.innerText("#source-h > span"));
    await press(page, "ArrowRight");
    is(`${width}: nothing moves`, at, await top());
    await press(page, "e");
    is(`${width}: no failure, in words`, "No event of a failure after this event.", await page.textContent("#sentence"));
    await done(`${file} ${width}`);
  }
}

/** Data stays data, whatever it says. */
async function hostile() {
  // What a Rust program cannot write, another one might: half a surrogate pair, a torn last line.
  const text = readFileSync(join(folder, "hostile.html"), "utf8").replaceAll("SURROGATE", "\\ud800\\udfff\\ud800");
  writeFileSync(join(folder, "hostile-surrogates.html"), text.replace(/\n<\/script>/, '\n{"s":999999,"t":1,"k":"d.n\n</script>'));
  for (const file of ["hostile.html", "hostile-surrogates.html"]) {
    const { page, done } = await open(file);
    const n = await page.evaluate(() => window.ropewalk.count);
    for (let i = 0; i < n; i++) {
      await page.evaluate((i) => window.ropewalk.move(i), i);
      const seen = await page.evaluate(() => document.body.innerText + document.title);
      const bad = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202e]/.exec(seen);
      ok(`${file} ${i}: no control character is shown`, !bad, bad && seen.slice(Math.max(0, bad.index - 40), bad.index + 20));
    }
    is(`${file}: no code of the trace ran`, "undefined", await page.evaluate(() => typeof window.pwned));
    is(`${file}: no element of the trace is in the document`, 0, await page.evaluate(() => document.querySelectorAll("img, iframe, object, b.evil").length));
    is(`${file}: five scripts, blocks of data with them`, 4, await page.evaluate(() => document.scripts.length));
    await press(page, "/");
    await page.keyboard.type("</script><img src=x onerror=pwned=1>");
    await press(page, "Enter");
    await done(file);
  }
}

/** As many events as a page may hold. The bounds leave room for a slow machine; the figures are printed. */
async function many() {
  const file = "many.html";
  const { page, url, done, context } = await open(file);
  const opened = [];
  // What a browser lets go of later counts, too: so before the page is opened again.
  const memory = async () => {
    const { processInfo } = await (await browser.newBrowserCDPSession()).send("SystemInfo.getProcessInfo");
    const resident = processInfo.filter((p) => p.type === "renderer").map((p) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${p.id}/status`, "utf8"))[1]) * 1024);
    return Math.max(...resident);
  };
  const fresh = await memory();
  for (let k = 0; k < 3; k++) {
    const start = Date.now();
    await page.goto("about:blank");
    const from = Date.now();
    await page.goto(url);
    await page.waitForFunction(() => window.ropewalk?.count > 0);
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done))));
    opened.push(Date.now() - from);
  }
  const n = await page.evaluate(() => window.ropewalk.count);
  is("it holds 200,000 events", 200000, n);
  const times = await page.evaluate(async (n) => {
    const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    const measure = async (places) => {
      const times = [];
      for (const i of places) {
        await painted();
        const start = performance.now();
        window.ropewalk.move(i);
        // Its style and layout belong to the step.
        document.body.getBoundingClientRect();
        times.push(performance.now() - start);
      }
      return times.sort((a, b) => a - b);
    };
    const middle = Math.floor(n / 2), steps = Array.from({ length: 120 }, (_, k) => middle + k);
    const jumps = Array.from({ length: 60 }, (_, k) => (k * 77773) % n);
    return { on: await measure(steps), back: await measure(steps.reverse()), jumps: await measure(jumps) };
  }, n);
  const cdp = await context.newCDPSession(page);
  await cdp.send("Performance.enable");
  await cdp.send("HeapProfiler.collectGarbage");
  const heap = (await cdp.send("Performance.getMetrics")).metrics.find((m) => m.name === "JSHeapUsedSize").value;
  const say = (list) => `median ${list[list.length >> 1].toFixed(1)} ms, worst ${list[list.length - 1].toFixed(1)} ms`;
  const mb = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`;
  console.log(`200,000 events: file ${mb(statSync(join(folder, file)).size)}, opens in ${opened.sort((a, b) => a - b).join(", ")} ms, JavaScript heap ${mb(heap)}, the tab's process ${mb(fresh)}`);
  for (const [what, list] of Object.entries(times)) console.log(`  ${what.padEnd(6)} ${say(list)}`);
  ok("it opens", opened[0] < 12000, opened.join(" "));
  for (const [what, list] of Object.entries(times)) ok(`${what}: a step is drawn`, list[list.length >> 1] < 250, say(list));
  if (shots) await page.screenshot({ path: join(shots, "many.png") });
  await done(file);
}

for (const file of files) if (!file.startsWith("hostile")) await oneCursor(file);
await byKeyboard("timers.html");
await byScreenReader("timers.html");
await looks("timers.html");
await sideBySide("parts.html");
await keptByAGroup("tasks.html");
await whatTheRailsShow("waits.html");
await withoutRails("bare.html");
await reasons();
await withoutObjects("asked.html");
await hostile();
await many();
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
