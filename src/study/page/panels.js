// The panels that are text: source, events, now, why, findings, output. Each is drawn anew from the cursor.

/** A list of rows of one height, of which only those in sight are in the document. */
class Rows {
  constructor(id, height, make) {
    Object.assign(this, { id, height, make, empty: "", count: 0, top: 0, body: h("div", { class: "rows" }) });
    const box = $(id);
    box.append(this.body);
    box.addEventListener("scroll", () => {
      if (Math.abs(this.top - box.scrollTop) < 1) return;
      this.top = box.scrollTop;
      this.draw();
    });
  }

  draw() {
    const { height: high, top } = this;
    const from = Math.max(0, Math.floor(top / high) - 3), to = Math.min(this.count, Math.ceil((top + size[this.id][1]) / high) + 3);
    const kids = [];
    for (let r = from; r < to; r++) {
      const row = this.make(r);
      row.style.top = `${r * high}px`;
      kids.push(row);
    }
    this.body.replaceChildren(...(this.count ? kids : [h("p", { class: "empty", text: this.empty })]));
  }

  /** Takes so many rows, and brings row `r` into sight; into the middle if it was not. */
  show(count, r) {
    const high = this.height, all = size[this.id][1], was = this.top;
    this.count = count;
    this.body.style.height = count ? `${count * high}px` : "auto";
    if (r >= 0 && ((r - 1) * high < was || (r + 2) * high > was + all)) this.top = r * high - all / 2;
    this.top = Math.round(Math.max(0, Math.min(this.top, count * high - all)));
    if (this.top !== was) later.push(() => ($(this.id).scrollTop = this.top));
    this.draw();
  }
}

// Events.

let eventRows, visible = new Int32Array(0), forced = -1;

/** Which events the filter shows. It hides rows and nothing else: no number changes, no step is left out. */
function filter() {
  const out = [];
  for (let i = 0; i < T.n; i++) if (T.level[i] <= view.level && !view.hidden.has(T.fam[i])) out.push(i);
  visible = Int32Array.from(out);
}

/** The row of an event; where the filter hides it, it gets one for as long as the cursor is there. */
function rowOf(i) {
  const r = upTo(visible, i);
  forced = visible[r] === i ? -1 : r + 1;
  return forced < 0 ? r : forced;
}

const eventAt = (r) => (forced < 0 || r < forced ? visible[r] : r === forced ? view.i : visible[r - 1]);

function eventRow(r) {
  const i = eventAt(r), e = T.ev[i], here = i === view.i;
  const links = view.links;
  const letters = PARENTS.filter((l) => links[l] === i);
  const cls = ["vrow", here && "here", i > view.i && "future", r === forced && "forced", e.k === "f.lost" ? "k-lost" : e.k === "f.resting" ? "k-rest" : ERROR.test(e.k) || failed(e.val) ? "k-err" : e.k === "turn.begin" && "k-turn", ...letters, view.hits?.has(i) && "hit"];
  const depth = Math.min(T.depth[i], 12);
  return h("div", {
    class: cls.filter(Boolean).join(" "), role: "option", id: `ev-${i}`, "aria-selected": String(here), "aria-posinset": r + 1, "aria-setsize": eventRows.count,
    title: r === forced ? "The filter hides this event; it is shown because the cursor is on it" : null, onclick: () => jump(i),
  },
  span("num", e.s),
  Array.from({ length: depth }, () => h("span", { class: "ind", "aria-hidden": "true" })),
  letters.map(letter),
  span("what", ` ${brief(i)}`),
  span("place", e.sys ? "sys" : where(e.at)));
}

function drawEvents(i) {
  const r = rowOf(i);
  eventRows.show(visible.length + (forced < 0 ? 0 : 1), r);
  $("events-list").setAttribute("aria-activedescendant", `ev-${i}`);
}

// Source.

let sourceRows, sourceFile = null;

/** The last line of a file that ran at or before `i`, and the next one that will. */
function linesAt(i) {
  let run = -1, next = -1;
  const has = (k) => T.ev[k].at && T.src.has(place(T.ev[k].at)?.f);
  for (let k = i; k >= 0 && k > i - 4000 && run < 0; k--) if (has(k)) run = k;
  for (let k = i + 1; k < T.n && k < i + 4000 && next < 0; k++) if (has(k)) next = k;
  return { run, next };
}

function drawSource(i) {
  const { run, next } = linesAt(i);
  const of = (k) => (k < 0 ? null : place(T.ev[k].at));
  const ran = of(run), will = of(next);
  const f = view.file ?? (ran || will)?.f ?? T.main;
  const file = T.src.get(f);
  $("file").value = f;
  const box = $("source");
  if (!file?.lines) {
    sourceRows.empty = file ? `The text of ${show(file.path, 80)} is not in this trace: it was recorded where that file does not lie.` : "This trace holds no source.";
    sourceRows.show(0, -1);
    box.setAttribute("aria-activedescendant", "");
    return;
  }
  const changed = sourceFile !== f;
  sourceFile = f;
  const letters = new Map();
  for (const l of PARENTS) {
    const at = T.ev[view.links[l]]?.at, p = at && place(at);
    if (p?.f === f) letters.set(p.line, (letters.get(p.line) || "") + l);
  }
  view.source = { f, file, ran: ran?.f === f ? ran.line : 0, will: will?.f === f ? will.line : 0, letters, i, drawn: drawnAt(f, i) };
  const line = view.line ?? view.source.ran;
  sourceRows.show(file.lines.length, line ? line - 1 : changed ? 0 : -1);
  box.setAttribute("aria-activedescendant", line ? `line-${line}` : "");
  drawVisits();
}

function drawVisits() {
  const line = view.line ?? view.source?.ran, list = line && view.source.file.at.get(line);
  const aside = $("visits");
  if (!list) return aside.replaceChildren();
  const k = upTo(list, view.i);
  const visit = (text, which, i) => goto(text, which, () => jump(i), { title: `${which} visit`, "aria-label": `${which} visit of this line`, disabled: i === undefined });
  aside.replaceChildren(`line ${line}: `, visit("‹", "Previous", list[list[k] === view.i ? k - 1 : k]), ` ${k + 1}/${list.length} `, visit("›", "Next", list[k + 1]));
}

/** By line: what of the drawn rails was made or added there. */
function drawnAt(f, i) {
  const lines = new Map();
  const add = (k) => {
    const p = k >= 0 && k <= i && T.ev[k].at && place(T.ev[k].at);
    if (p?.f !== f) return;
    if (!lines.has(p.line)) lines.set(p.line, []);
    if (lines.get(p.line).length < 4) lines.get(p.line).push(k);
  };
  for (const id of view.drawn) {
    add(object(id).made);
    if (id[0] !== "d" || !stepsOf(id).size) continue;
    // Those around the step that runs; a line may have many.
    const order = object(id).order, now = Math.max(0, order.findLastIndex((s) => s.run >= 0 && s.run <= i));
    for (const s of order.slice(now, now + 100)) add(s.add);
    for (const s of order.slice(Math.max(0, now - 50), now).reverse()) add(s.add);
  }
  return lines;
}

/** What lies on a line: objects that were made there, steps that were added there and what became of them. */
function tags(list, line, i) {
  const found = new Map();
  const of = (k) => {
    const e = T.ev[k], made = e.k in MAKES && e[MAKES[e.k]];
    if (isId(made)) {
      const status = statusAt(i, made);
      const cls = e.k === "f.new" ? "e" : { resting: "rest", lost: "lost" }[status] || "";
      found.set(made, h("span", { class: `tag ${cls}`, text: `${made}${cls === "rest" ? "!" : ""}`, title: `${title(made)}${message(made)}: ${status}` }));
    } else if (e.k === "d.add" && !e.sys && isId(e.d)) {
      const s = step(e.d, e.n);
      const cls = s.run >= 0 && s.run <= i ? (T.ev[s.run].lane === "e" ? "e" : "c") : s.pass >= 0 && s.pass <= i ? "pass" : "todo";
      const [text, words] = { c: [`[${e.n}]`, "ran on the ok lane"], e: [`[${e.n}]`, "ran on the error lane"], pass: [`|${e.n}`, "passed by"], todo: [`(${e.n})`, "not yet"] }[cls];
      if (!found.has(text)) found.set(text, h("span", { class: `tag ${cls}`, text, title: `step ${e.n} of ${title(e.d)}: ${words}` }));
    }
  };
  for (const k of view.source.drawn.get(line) || []) of(k);
  const last = upTo(list, i) + 1;
  for (const k of list.slice(Math.max(0, last - 6), last)) of(k);
  return [...found];
}

function sourceRow(r) {
  const s = view.source, line = r + 1, list = s.file.at.get(line);
  const letters = s.letters.get(line) || "";
  const here = line === (view.line ?? s.ran), marks = list ? tags(list, line, s.i) : [];
  // As many as find room.
  let room = 76 - 19 * letters.length;
  const fit = marks.filter(([text]) => (room -= 7 * text.length + 13) >= 0);
  return h("div", { class: `vrow${line === s.ran ? " here" : ""} ${[...letters].join(" ")}`, role: "option", id: `line-${line}`, "aria-selected": String(here), onclick: () => visit(line) },
    h("span", { class: "gut" },
      span(`ln${line === s.ran ? " run" : line === s.will ? " next" : ""}`, line),
      line === s.ran ? span("vh", "ran last: ") : line === s.will ? span("vh", "runs next: ") : null,
      [...letters].map(letter), fit.map(([, tag]) => tag)),
    h("span", { text: show(s.file.lines[r].replace(/\t/g, "    "), 400) }), marks.length > fit.length ? span("vh", ` and ${marks.length - fit.length} more`) : null);
}

/** A click on a line: to its next visit, around again at the last. */
function visit(line) {
  const list = view.source.file.at.get(line);
  view.line = line;
  view.file = view.source.f;
  // The list of events underlines them.
  view.hits = list && new Set(list);
  if (!list) return redraw();
  const next = list[upTo(list, view.i) + 1] ?? list[0];
  jump(next, { line });
}

// Now, why, findings, output.

const NOUNS = { d: "Deferred", m: "timer", i: "source", x: "task", w: "job", f: "failure", p: "posted call", g: "group" };

function drawNow(i) {
  const e = T.ev[i], state = stateAt(i), rows = [];
  const row = (name, ...what) => rows.push(h("dt", { text: name }), h("dd", {}, what));
  row("event", h("b", { text: `${e.s}` }), `  ${show(e.k, 30)}`, e.th ? `  on ${show(e.th, 20)}` : "");
  row("time", `${duration(e.t)}`, e.turn ? `, ${T.turns[upTo(T.turnEnds, i - 1) + 1].outside ? "after " : ""}turn ${e.turn}` : T.looped && ", before the first turn", T.head.clock && T.head.clock !== "real" ? ` (${show(T.head.clock, 12)} clock)` : "");
  for (const o of T.touched[i].slice(0, 30)) {
    const status = state.status(o.id);
    row(o.id, goto(name(o.id) || message(o.id).trim() || NOUNS[o.id[0]], `now/${o.id}`, () => chooseObject(o)), status && ": ",
      h("span", { class: status === "error" || status === "lost" ? "val-e" : "", text: isRail(o) ? statusWords(o.id, i) : status }));
  }
  if (e.val) rows.push(h("dt", { text: "value" }), h("dd", { class: `v ${e.val.err !== undefined ? "val-e" : "val-c"}` }, value(e.val, true), e.val.ty && value(e.val) !== `ok <${short(e.val.ty)}>` ? span("future", `  ${short(e.val.ty)}`) : null));
  if (e.at) row("place", (() => {
    const p = place(e.at), file = p && T.src.get(p.f);
    return file ? `${show(file.path, 80)}:${p.line}:${p.col}` : show(e.at, 60);
  })());
  const frames = state.frames.slice(-12);
  row("frames", frames.length ? h("span", { class: "frames" }, frames.map((f, k) => [k ? h("span", { "aria-hidden": "true", text: "›" }) : null, goto(brief(f), `now/${f}`, () => jump(f))])) : !e.turn ? `none${T.looped ? ": set-up" : ""}` : e.k === "turn.end" ? "none: back in the loop" : "none: outside of the loop's turns");
  const live = Object.entries(state.live).filter(([l, n]) => n && "dmixwf".includes(l)).map(([l, n]) => `${n} ${NOUNS[l]}${n === 1 ? "" : "s"}`);
  row("open", live.join(", ") || "nothing");
  $("now").replaceChildren(h("dl", {}, rows));
}

function drawWhy(i) {
  const kids = [];
  const hop = (k, letter, rel, cls) => {
    const place = where(T.ev[k].at);
    kids.push(h("li", {}, button({ class: `hop ${cls}`, "data-key": `why/${k}/${rel}`, onclick: () => jump(k) },
      letter ? h("span", { class: `link ${letter}`, "aria-hidden": "true", text: letter }) : h("span"), span("rel", rel), span("hs", `s${T.ev[k].s}`), span("what", brief(k)), span("place", place))));
  };
  const near = parents(i);
  for (const { i: k, how, reg } of whyChain(i, 24)) {
    if (how) hop(k, k === near.C ? "C" : k === near.W ? "W" : "", how === "C" || k === near.C ? "← called from" : how === "B" ? "← began at" : "⇠ woken by", k === near.C ? "C" : k === near.W ? "W" : "");
    const held = heldUp(k);
    if (held >= 0) hop(held, "", "⋯ held up by", "");
    if (reg >= 0) {
      hop(reg, reg === near.R ? "R" : "", "⋯ registered", reg === near.R ? "reg R" : "reg");
      // Inside of what it was registered.
      const inside = at(T.ev[reg].in);
      if (inside >= 0) hop(inside, "", "⋯ inside", "reg");
    }
  }
  for (const l of PARENTS) if (near[l] >= 0 && !kids.some((li) => li.firstChild.classList.contains(l))) hop(near[l], l, `${{ C: "← ", W: "⇠ ", R: "⋯ " }[l]}${KINSHIP[l]}`, l);
  const end = T.ev[i].k === "turn.begin" ? "This is where the loop itself begins: nothing in the trace caused it." : `${T.ev[i].turn ? "Outside of the loop's turns" : T.looped ? "Set-up of the program" : "The program itself"}: nothing in the trace caused it.`;
  $("why").replaceChildren(kids.length ? h("ol", { "aria-label": "What led here, the nearest first" }, kids) : h("p", { class: "empty", text: end }));
}

let lints = [], part = "";

function readLints() {
  const told = JSON.parse($("about-run").textContent);
  lints = told.findings.map((l) => ({ i: at(l.s), text: l.text })).filter((l) => l.i >= 0);
  part = told.part;
  $("lints-h").textContent = `Findings (${lints.length})`;
  if (!lints.length) $("lints-panel").hidden = true;
}

function drawLints(i) {
  $("lints").replaceChildren(h("ol", {}, lints.slice(0, 500).map((l, k) => h("li", {}, button({ class: `find-row${l.i > i ? " future" : ""}`, "data-key": `lint/${k}`, onclick: () => jump(l.i) }, h("span", { text: show(l.text, 300) }), span("s", `s${T.ev[l.i].s}`))))));
}

function drawOutput(i) {
  const n = stateAt(i).outs, from = Math.max(0, n - 200), box = $("output");
  const kids = [];
  if (from) kids.push(`(${from} earlier pieces are not shown)\n`);
  for (const k of T.outs.slice(from, n)) {
    const e = T.ev[k], text = String(e.text ?? "").slice(-4000).split("\n").map((line) => show(line, 500)).join("\n");
    kids.push(e.stream === "stderr" || e.stream === "err" ? h("span", { class: "err", text }) : text);
  }
  box.replaceChildren(...(n ? kids : [span("future", T.outs.length ? "nothing yet" : "this run printed nothing that was recorded")]));
  later.push(() => (box.scrollTop = box.scrollHeight));
}
