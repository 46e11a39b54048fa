// One cursor, and all that moves it: keys, buttons, links, play, find, breakpoints. `view` is what a person has chosen;
// every panel is drawn from the trace, the cursor and the view, and from nothing else.

const view = {
  i: 0, sel: [], level: 1, hidden: new Set(), axis: "steps", file: null, line: null, all: false, page: null,
  parts: false, drawn: new Set(), links: { C: -1, W: -1, R: -1 }, hits: null, marks: new Map(), breaks: [],
};
const own = [];
let playing = 0, saved = 0;

/** What asks for the places of things, or scrolls: it is done when all is drawn, so that the page is laid out once. */
let later = [];

/** Draws everything. The focus stays on what it was on, though that was drawn anew. */
function redraw() {
  const i = view.i, focus = document.activeElement;
  const region = focus?.closest?.("[data-rove], #now"), key = focus?.dataset?.key;
  view.links = parents(i);
  drawBar(i);
  drawDone(i);
  drawStrip(i);
  drawRails(i);
  drawSource(i);
  drawNow(i);
  drawWhy(i);
  drawLints(i);
  drawObjects(i);
  drawEvents(i);
  drawOutput(i);
  $$("[data-rove]").forEach(rove);
  if (region && key && !focus.isConnected) {
    const again = $$("[data-key]", region).find((e) => e.dataset.key === key) || region.querySelector("[tabindex='0'], button");
    later.push(() => again?.focus({ preventScroll: true }));
  }
  settle();
}

function settle() {
  const acts = later;
  later = [];
  for (const act of acts) act();
}

function drawBar(i) {
  const e = T.ev[i], said = sentence(i), text = show(said, 1500);
  $("where").replaceChildren(h("i", { text: "event " }), h("b", { text: e.s }), ` / ${T.ev[T.n - 1].s}`);
  if ($("sentence").textContent !== text) $("sentence").textContent = text;
  const slider = $("slider");
  slider.value = i + 1;
  slider.setAttribute("aria-valuetext", `${e.s}: ${show(said, 300)}`);
  const ask = T.asks.get(i);
  $("ask").hidden = !ask;
  if (ask) {
    $("ask").open = false;
    $("answer").textContent = show(ask.answer, 1000);
  }
  for (const id of ["go-first", "go-back", "go-turn-back"]) $(id).disabled = i === 0;
  for (const id of ["go-on", "go-turn", "go-last"]) $(id).disabled = i === T.n - 1;
  $("back").disabled = !own.length;
  $("level").value = view.level;
  $("kinds-n").textContent = view.hidden.size ? `${FAMILIES.length - view.hidden.size} of ${FAMILIES.length}` : "all";
  const link = hash();
  $("link").href = link;
  $("link").textContent = `this moment: ${link}`;
}

/** Moves the cursor. A jump is remembered, a step is not. */
function move(i, { jumped = false, line = null } = {}) {
  i = Math.max(0, Math.min(T.n - 1, i));
  if (jumped && i !== view.i) {
    own.push(view.i);
    if (own.length > 500) own.shift();
  }
  view.i = i;
  view.line = line;
  if (line === null && jumped) view.file = null;
  redraw();
  keepAddress(jumped);
}

const jump = (i, more) => {
  stop();
  if (i >= 0) move(i, { jumped: true, ...more });
};
const stepBy = (by) => {
  stop();
  view.file = null;
  move(view.i + by);
};

function goBack() {
  stop();
  if (own.length) move(own.pop());
}

/** Selects a Deferred or a task, beside the others or alone; `null` follows the events again. */
function select(id, beside) {
  view.parts = false;
  if (id === null) view.sel = [];
  else if (beside) view.sel = view.sel.includes(id) ? view.sel.filter((other) => other !== id) : [...view.sel, id];
  else view.sel = view.sel.length === 1 && view.sel[0] === id ? [] : [id];
  choose();
}

/** Shows what a person has chosen. */
function choose() {
  redraw();
  keepAddress(false);
}

// The address: `#s=46&sel=d1&lvl=1`; `parts=0` for rails where the parts of a run could stand side by side.

function hash() {
  return `#s=${T.ev[view.i].s}${view.sel.length ? `&sel=${view.sel.join(",")}` : ""}${view.level !== 1 ? `&lvl=${view.level}` : ""}${view.axis === "time" ? "&axis=time" : ""}${P.parts.length && !view.parts ? "&parts=0" : ""}`;
}

/** Jumps are entries of the browser's history; steps change the entry, but not more often than browsers allow. */
function keepAddress(jumped) {
  clearTimeout(saved);
  const write = () => {
    if (location.hash === hash()) return;
    try {
      history[jumped ? "pushState" : "replaceState"](null, "", hash());
    } catch {
      // Some browsers forbid it for files, or when it comes too often. The link in the page is right in any case.
    }
  };
  saved = setTimeout(write, jumped ? 120 : 300);
}

function fromHash() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const s = Number(asked.get("s"));
  // The event itself, or the one before it where the trace has it not.
  if (s > 0) view.i = Math.max(0, upTo(T.s, s));
  view.sel = (asked.get("sel") || "").split(",").filter((id) => T.objs.has(id));
  view.parts = P.parts.length > 0 && !view.sel.length && asked.get("parts") !== "0";
  const level = Number(asked.get("lvl"));
  view.level = level >= 1 && level <= 3 ? level : 1;
  view.axis = asked.get("axis") === "time" ? "time" : "steps";
  document.querySelector(`input[name=axis][value=${view.axis}]`).checked = true;
  filter();
}

// Where keys go.

const nextIn = (list, i) => list[upTo(list, i) + 1] ?? -1;
const lastIn = (list, i) => list[upTo(list, i - 1)] ?? -1;
const either = (list, back) => (back ? lastIn(list, view.i) : nextIn(list, view.i));

function turnFrom(back) {
  const i = view.i, turns = T.turns.filter((turn) => !turn.outside).map((turn) => turn.from);
  return back ? Math.max(lastIn(turns, i), 0) : (nextIn(turns, i) < 0 ? T.n - 1 : nextIn(turns, i));
}

function frameEdge(back) {
  const i = view.i, e = T.ev[i];
  if (back && e.b) return at(e.b);
  if (!back && T.end[i] > i) return T.end[i];
  const f = at(e.in);
  return f < 0 ? -1 : back ? f : T.end[f];
}

function ofSelected(back) {
  const id = view.sel[0] || T.focus[view.i] || T.first;
  return id ? either(T.objs.get(id).ev, back) : -1;
}

function whole() {
  const hops = whyChain(view.i, 10000);
  return hops.length > 1 ? hops[hops.length - 1].i : -1;
}

function meets(i, text) {
  const e = T.ev[i];
  if (/^[a-z]+\.\*$/.test(text)) return e.k.startsWith(text.slice(0, -1));
  if (ID.test(text)) return T.touched[i].some((o) => o.id === text);
  const line = /^(.+):([0-9]+)$/.exec(text);
  if (line) {
    const p = e.at && place(e.at);
    return !!p && p.line === Number(line[2]) && (T.src.get(p.f)?.path ?? "").endsWith(line[1]);
  }
  return e.k === text || brief(i).includes(text);
}

function toBreak(back) {
  if (!view.breaks.length) return openBreaks();
  for (let i = view.i + (back ? -1 : 1); i >= 0 && i < T.n; i += back ? -1 : 1) if (view.breaks.some((b) => b.on && meets(i, b.text))) return jump(i);
  toNext(-1, back, "breakpoint");
}

const toPlace = (i, none) => (i >= 0 ? jump(i) : say(none));
const toNext = (i, back, what) => toPlace(i, `No ${what} ${back ? "before" : "after"} this event.`);

/** Says something that is no event: in the caption's place, until the next move. */
function say(text) {
  $("sentence").textContent = text;
}

const LEVELS = "level of detail: 2 adds what sources wait for, 3 the library's own steps";
const KEYS = [
  ["s", "S", "one event on, back", (back) => stepBy(back ? -1 : 1), "→ ←"],
  ["n", "N", "next, previous callback or step", (back) => toNext(either(T.starts, back), back, "callback and no step"), "⇧→ ⇧←"],
  ["f", "F", "to the end, the start of this callback, step or turn", (back) => toPlace(frameEdge(back), "No callback, step or turn is open here.")],
  ["t", "T", "next, previous turn", (back) => jump(turnFrom(back)), "PgDn PgUp"],
  ["e", "E", "next, previous event of a failure", (back) => toNext(either(T.errors, back), back, "event of a failure")],
  ["r", "R", "next, previous event of the selected Deferred", (back) => toNext(ofSelected(back), back, "event of this Deferred")],
  ["c", "C", "next, previous breakpoint", toBreak],
  ["w", "W", "to what led here: one hop, the whole way", (far) => toPlace(far ? whole() : (because(view.i)?.to ?? -1), "Nothing in the trace caused this.")],
  ["g", "", "to where it was registered", () => toPlace(at(T.ev[view.i].reg), "This was registered nowhere.")],
  ["b", "", "breakpoints", () => openBreaks()],
  ["m", "", "mark this event (then a letter)", () => (pending = "m")],
  ["'", "", "go to a mark (then its letter)", () => (pending = "'")],
  ["1", "2 3", LEVELS, null],
  ["v", "", "the parts of a run side by side, where it has some", () => (P.parts.length ? document.querySelector("[data-key=parts]").click() : say("This run has no parts."))],
  ["p", "", "play, stop", () => play()],
  ["/", "", "find", () => $("find-text").focus()],
  ["x", "", "save or share", () => openSave()],
  ["?", "", "this help", () => $("help-box").showModal()],
  ["Home", "End", "first, last event", null],
  ["Backspace", "", "back along your own jumps", null],
];
let pending = "";

function onKey(event) {
  const t = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const box = t.closest("dialog");
  if (box?.open) return;
  const typing = !box && ((t.tagName === "INPUT" && t.type !== "range" && t.type !== "radio" && t.type !== "checkbox") || t.tagName === "SELECT");
  if (event.key === "Escape") {
    stop();
    $("kinds").open = false;
    if (typing) t.blur();
    if (view.hits) {
      view.hits = null;
      $("found").textContent = "";
      redraw();
    }
    return;
  }
  if (typing) return;
  const done = () => event.preventDefault();
  const inRow = t.closest("[data-rove='row']"), inList = t.closest("[data-rove='list'], [role='listbox']"), slider = t.id === "slider";
  const letters = $("letters").checked;
  switch (event.key) {
    case "ArrowRight": case "ArrowLeft": {
      if (t.type === "radio") return;
      if (inRow) return roving(event, inRow);
      const back = event.key === "ArrowLeft";
      done();
      return event.shiftKey ? KEYS[1][3](back) : stepBy(back ? -1 : 1);
    }
    case "ArrowDown": case "ArrowUp": {
      const back = event.key === "ArrowUp";
      if (t.id === "events-list") {
        done();
        const r = rowOf(view.i) + (back ? -1 : 1);
        if (r >= 0 && r < eventRows.count) stepBy(eventAt(r) - view.i);
        return;
      }
      if (t.id === "source") {
        done();
        if (!view.source) return;
        view.line = Math.max(1, Math.min(sourceRows.count, (view.line ?? (view.source.ran || 1)) + (back ? -1 : 1)));
        view.file = view.source.f;
        drawSource(view.i);
        return settle();
      }
      if (slider) {
        done();
        return stepBy(back ? -1 : 1);
      }
      if (inList) return roving(event, inList);
      return;
    }
    case "Enter":
      if (t.id === "source" && view.line) visit(view.line);
      return;
    case "PageDown": done(); return jump(turnFrom(false));
    case "PageUp": done(); return jump(turnFrom(true));
    case "Home": done(); return jump(0);
    case "End": done(); return jump(T.n - 1);
    case "Backspace": done(); return goBack();
  }
  if (!letters) return;
  if (pending && event.key.length === 1) {
    done();
    const letter = event.key;
    if (pending === "m") {
      view.marks.set(letter, view.i);
      drawTicks();
      drawDone(view.i);
      say(`Mark ${letter} is at event ${T.ev[view.i].s}.`);
    } else if (view.marks.has(letter)) jump(view.marks.get(letter));
    else say(`There is no mark ${letter}.`);
    pending = "";
    return;
  }
  if (/^[123]$/.test(event.key)) {
    done();
    return setLevel(Number(event.key));
  }
  for (const [low, high, , act] of KEYS) {
    if (act && (event.key === low || (high && event.key === high))) {
      done();
      return act(event.key !== low);
    }
  }
}

const stopsIn = (region) => $$("button:not(:disabled), select", region);

/** One tab stop in a region; arrows go on inside. */
function rove(region) {
  const items = stopsIn(region);
  const keep = items.find((e) => e === document.activeElement) || items.find((e) => e.getAttribute("aria-current") === "step") || items.find((e) => e.dataset.key && e.dataset.key === region.dataset.last) || items[0];
  for (const e of items) e.tabIndex = e === keep ? 0 : -1;
}

function roving(event, region) {
  const items = stopsIn(region);
  const k = items.indexOf(document.activeElement), to = items[k + (/Down|Right/.test(event.key) ? 1 : -1)];
  event.preventDefault();
  if (!to) return;
  for (const e of items) e.tabIndex = e === to ? 0 : -1;
  region.dataset.last = to.dataset.key || "";
  to.focus();
}

function setLevel(level) {
  view.level = level;
  filter();
  choose();
}

// Play: whole events, nothing in between. Silent for screen readers.

function play() {
  if (playing) return stop();
  if (view.i === T.n - 1) view.i = 0;
  $("sentence").setAttribute("aria-live", "off");
  $("play").setAttribute("aria-pressed", "true");
  $("play").textContent = "Stop";
  const tick = () => {
    if (view.i >= T.n - 1) return stop();
    move(view.i + 1);
    playing = setTimeout(tick, Number($("speed").value));
  };
  playing = setTimeout(tick, Math.min(Number($("speed").value), 600));
}

function stop() {
  if (!playing) return;
  clearTimeout(playing);
  playing = 0;
  $("play").setAttribute("aria-pressed", "false");
  $("play").textContent = "Play";
  $("sentence").setAttribute("aria-live", "polite");
}

// Find: in the words of the events, in sentences, values and output.

let found = { text: "", list: [] };

function find(back) {
  const text = $("find-text").value.trim().toLowerCase();
  if (!text) {
    view.hits = null;
    $("found").textContent = "";
    return redraw();
  }
  if (found.text !== text) {
    const list = [];
    for (let i = 0; i < T.n; i++) if (line(i).toLowerCase().includes(text) || `${T.ev[i].label || ""} ${T.ev[i].k} ${filesOf(i)}`.toLowerCase().includes(text)) list.push(i);
    found = { text, list };
  }
  view.hits = new Set(found.list);
  const to = either(found.list, back), all = found.list;
  const i = to >= 0 ? to : back ? all[all.length - 1] : all[0];
  if (i !== undefined) jump(i);
  else redraw();
  $("found").textContent = all.length ? `${all.indexOf(view.i) + 1} / ${all.length}` : "none";
}

function filesOf(i) {
  const p = T.ev[i].at && place(T.ev[i].at), file = p && T.src.get(p.f);
  return file ? `${file.path}:${p.line}` : "";
}

// Boxes.

function openBreaks() {
  drawBreaks();
  $("break-box").showModal();
}

function drawBreaks() {
  $("breaks").replaceChildren(...view.breaks.map((b, k) => h("li", {}, h("label", {}, h("input", { type: "checkbox", checked: b.on, onchange: (event) => (b.on = event.target.checked) }), ` ${show(b.text, 80)}`), button({ text: "Remove", onclick: () => {
    view.breaks.splice(k, 1);
    drawBreaks();
  } }))));
}

function openSave() {
  $("save-link").textContent = location.href.split("#")[0].split("/").pop() + hash();
  $("save-svg").disabled = view.parts;
  $("save-box").showModal();
}

function download(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** The rails that are drawn, as a picture of its own: the lanes and the words beside them. */
function railPicture() {
  const rails = $$("#rails .rail"), styles = getComputedStyle(document.documentElement);
  let y = 10;
  const width = 760, parts = [];
  for (const rail of rails) {
    const box = rail.getBoundingClientRect(), track = rail.querySelector("svg").cloneNode(true);
    track.setAttribute("x", 10);
    track.setAttribute("y", y);
    parts.push(new XMLSerializer().serializeToString(track));
    for (const e of $$(".head, .row", rail)) {
      const r = e.getBoundingClientRect(), words = $$("h3, b, .ty, .st, .t, .n", e).map((p) => p.textContent.trim()).filter(Boolean).join("   ") || e.textContent;
      const text = svg("text", { x: 14 + parseFloat(getComputedStyle(e).paddingLeft), y: y + r.top - box.top + r.height / 2 + 4, "font-size": 12.5, "font-family": "sans-serif", "font-weight": e.classList.contains("head") ? 700 : 400, fill: styles.getPropertyValue("--ink"), text: words });
      parts.push(new XMLSerializer().serializeToString(text));
    }
    y += box.height + 16;
  }
  const css = [...document.styleSheets[0].cssRules].filter((rule) => rule.selectorText?.startsWith(".track")).map((rule) => rule.cssText).join("").replace(/var\((--[a-z0-9-]+)\)/g, (_, name) => styles.getPropertyValue(name).trim());
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y}"><style>${css}</style><rect width="100%" height="100%" fill="${styles.getPropertyValue("--panel").trim()}"/>${parts.join("")}</svg>`;
}

/** The handout: the drawn rails and the events of their objects. */
function fillPrint() {
  const rails = $$("#rails .rail");
  const ids = new Set(rails.map((r) => r.dataset.rail));
  for (const rail of rails) for (const id of drawRail(rail.dataset.rail, view.i, view.links).drawn) ids.add(id);
  const list = [...new Set([...ids].flatMap((id) => T.objs.get(id)?.ev ?? []))].sort((a, b) => a - b).slice(0, 2000);
  const table = document.querySelector("#rails .parts");
  $("print").replaceChildren(
    h("h1", { text: document.title }), h("p", { class: "sub", text: `event ${T.ev[view.i].s}: ${show(sentence(view.i), 500)}` }),
    ...[...ids].filter((id) => rails.some((r) => r.dataset.rail === id)).map((id) => drawRail(id, view.i, { C: -1, W: -1, R: -1 }).box),
    table ? table.cloneNode(true) : h("h2", { text: `Events of ${[...ids].join(", ")}` }),
    h("table", {}, list.map((i) => h("tr", {}, h("td", { text: T.ev[i].s }), h("td", { text: show(sentence(i), 300) }), h("td", { text: where(T.ev[i].at) })))),
  );
}

function setTheme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  $("theme").setAttribute("aria-pressed", String(dark));
}

function start() {
  readTrace();
  document.title = `${show(T.head.prog || "a run", 80)} - ropewalk`;
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  setTheme(prefersDark.matches);
  prefersDark.addEventListener("change", (event) => setTheme(event.matches));
  if (!T.n) {
    $("sentence").textContent = "This trace holds no events.";
    document.querySelector("main").hidden = document.querySelector(".scrub").hidden = true;
    return;
  }
  foldAll();
  readLints();
  readParts();
  const plain = !T.rails.length && !P.parts.length, main = document.querySelector("main");
  main.classList.toggle("plain-run", plain);
  main.querySelector(".mid").hidden = plain && !lints.length;
  $("prog").replaceChildren(show(T.head.prog || "a run", 80), h("small", { text: [T.head.clock && `${show(T.head.clock, 12)} clock`, part || `${T.n} events`, T.turns.length > 1 && !part && `${T.turns.filter((turn) => turn.turn && !turn.outside).length} turns`].filter(Boolean).join(" · ") }));
  $("about").textContent = `${show(T.head.lib || "ropewalk", 40)} · this file needs no network`;
  eventRows = new Rows("events-list", 24, eventRow);
  laneRows = new Rows("objects", 22, laneRow);
  sourceRows = new Rows("source", 24, sourceRow);
  $("file").append(...[...T.src].map(([f, file]) => h("option", { value: f, text: fileName(file.path), title: file.path })));
  if (T.src.size < 2) $("file").hidden = true;
  if (T.src.size === 1) $("file").before(span("", fileName([...T.src.values()][0].path)));
  const slider = $("slider");
  slider.max = T.n;
  slider.addEventListener("input", () => {
    stop();
    view.file = null;
    move(Number(slider.value) - 1);
  });
  for (const e of $$("[data-icon]")) e.append(svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: e.dataset.icon })));
  const on = (id, act, what = "click") => $(id).addEventListener(what, act);
  const submit = (id, act) => on(id, (event) => {
    event.preventDefault();
    act();
  }, "submit");
  on("go-first", () => jump(0));
  on("go-last", () => jump(T.n - 1));
  on("go-back", () => stepBy(-1));
  on("go-on", () => stepBy(1));
  on("go-turn", () => jump(turnFrom(false)));
  on("go-turn-back", () => jump(turnFrom(true)));
  on("play", play);
  on("back", goBack);
  on("theme", () => setTheme(document.documentElement.dataset.theme !== "dark"));
  on("save", openSave);
  on("help", () => $("help-box").showModal());
  on("strip", (event) => {
    const { left, width } = $("strip").getBoundingClientRect(), ax = axis(view.i);
    jump(nearest(Array.from({ length: ax.to - ax.from + 1 }, (_, k) => ax.from + k), ax.x, (event.clientX - left) / width));
  });
  on("save-trace", () => download("trace.jsonl", "application/x-ndjson", $("trace").textContent.trim() + "\n"));
  on("save-svg", () => {
    $("save-box").close();
    download("rails.svg", "image/svg+xml", railPicture());
  });
  on("file", (event) => {
    view.file = event.target.value;
    view.line = null;
    drawSource(view.i);
    settle();
  }, "change");
  $("level").title = LEVELS;
  on("level", (event) => setLevel(Number(event.target.value)), "change");
  $("kinds-list").append(...FAMILIES.map(([word], k) => h("label", {}, h("input", { type: "checkbox", checked: true, onchange: (event) => {
    view.hidden[event.target.checked ? "delete" : "add"](k);
    filter();
    redraw();
  } }), ` ${word}`)));
  submit("find", () => find(false));
  on("find-text", (event) => {
    if (event.key === "Enter" && event.shiftKey) {
      event.preventDefault();
      find(true);
    }
  }, "keydown");
  submit("break-form", () => {
    const text = $("break-text").value.trim();
    if (text) view.breaks.push({ text, on: true });
    $("break-text").value = "";
    drawBreaks();
  });
  for (const e of $$("input[name=axis]")) e.addEventListener("change", () => {
    view.axis = e.value;
    choose();
  });
  $("keys").append(...KEYS.map(([low, high, words, , more]) => h("div", {}, h("span", {}, `${low} ${high}`.trim().split(" ").map((k) => [h("kbd", { text: k }), " "]), more), h("span", { text: words }))));
  // A button that the mouse pressed does not keep the arrow keys.
  document.querySelector(".transport").addEventListener("mousedown", (event) => event.target.closest("button") && event.preventDefault());
  document.addEventListener("keydown", onKey);
  for (const what of ["popstate", "hashchange"]) window.addEventListener(what, () => {
    if (location.hash === hash()) return;
    fromHash();
    redraw();
  });
  window.addEventListener("beforeprint", fillPrint);
  fromHash();
  measure();
  drawTicks();
  redraw();
  const resized = new ResizeObserver(() => {
    if (!measure()) return [eventRows, laneRows, sourceRows].forEach((rows) => rows.draw());
    drawTicks();
    redraw();
  });
  Object.keys(size).forEach((id) => resized.observe($(id)));
  // For tests and for the curious.
  window.ropewalk = { state: (i) => stateAt(i).text(), cursor: () => view.i, count: T.n, move: (i) => move(i) };
}

start();
