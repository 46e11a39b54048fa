// The trace as the page holds it: events in order, objects by id, links between events, and words for all of them.
// Everywhere else `i` is the place of an event in this list; its number `s` is what a person sees.

const $ = (id) => document.getElementById(id);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
const ID = /^[dfmipwxg][0-9]+$/;
const isId = (v) => typeof v === "string" && v.length < 12 && ID.test(v);

/** Makes an element. Data only ever becomes text or an attribute's value, never markup. */
function h(tag, props, ...kids) {
  const e = document.createElement(tag);
  if (tag === "button") e.type = tag;
  return fill(e, props, kids);
}

const span = (cls, text) => h("span", { class: cls, text });
const svg = (tag, props, ...kids) => fill(document.createElementNS("http://www.w3.org/2000/svg", tag), props, kids);
const button = (props, ...kids) => h("button", props, ...kids);
/** A button that is a word in a text. */
const goto = (text, key, onclick, more) => button({ class: "goto", "data-key": key, onclick, text, ...more });
/** A drawing: a screen reader meets the words beside it. */
const drawing = (cls, more) => svg("svg", { class: cls, "aria-hidden": "true", focusable: "false", ...more });
const path = (cls, d, more) => svg("path", { class: cls, d, ...more });
const dot = (cls, cx, cy, r) => svg("circle", { class: cls, cx, cy, r });
const box = (cls, x, y, width, height, rx) => svg("rect", { class: cls, x, y, width, height, rx });
const diamond = (x, y, r) => `M${x} ${y - r}l${r} ${r}l${-r} ${r}l${-r} ${-r}z`;

function fill(e, props, kids) {
  for (const name in props) {
    const value = props[name];
    if (value == null || value === false) continue;
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else if (name === "text") e.textContent = value;
    else e.setAttribute(name, value === true ? "" : value);
  }
  for (const kid of kids) if (Array.isArray(kid)) fill(e, null, kid);
  else if (kid != null && kid !== false) e.append(kid);
  return e;
}

/** What a person may see of a text: control characters and the like by their pictures, and never more than `max`. */
function show(text, max = 200) {
  text = String(text ?? "");
  const cut = text.length > max ? text.slice(0, max - 1) + "…" : text;
  return cut.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]/gu, (c) => {
    const n = c.codePointAt(0);
    if (n < 32) return String.fromCharCode(0x2400 + n);
    return n === 127 ? "␡" : "\ufffd";
  });
}

function duration(ns) {
  if (!(ns >= 0)) return "";
  const units = (unit) => Math.floor((ns + unit / 2) / unit);
  if (ns < 999500) return `${units(1e3)} µs`;
  if (ns < 999950000) return `${(units(1e5) / 10).toFixed(1)} ms`;
  return `${(units(1e7) / 100).toFixed(2)} s`;
}

const short = (ty) => show(ty).replace(/[A-Za-z0-9_]+::/g, "");

/** The kinds in families, as the filter of the event list names them. */
const FAMILIES = [
  ["loop", /^(turn|poll|cb|loop|post)/],
  ["timers", /^timer/],
  ["io", /^(io|flow)\./],
  ["threads", /^work\./],
  ["deferreds", /^(d|g|canceller)\b/],
  ["failures", /^f\./],
  ["futures", /^(x|waker)\./],
  ["program", /./],
];
const family = (k) => FAMILIES.findIndex(([, test]) => test.test(k));

const BEGINS = /^(turn\.begin|cb\.begin|d\.step|x\.poll|canceller\.begin)$/;
const STARTS = /^(cb\.begin|d\.step|x\.poll|canceller\.begin)$/;
const ERROR = /^f\./;
const isReady = (e) => e.out === "ready";
const MAKES = { "d.new": "d", "timer.arm": "m", "io.open": "i", post: "p", "work.queue": "w", "x.spawn": "x", "g.new": "g", "f.new": "f" };
/** The fields that name an object: whose event it is, and who else has to do with it. */
const NAMES = Object.assign(Object.create(null), { d: 1, x: 1, m: 1, i: 1, p: 1, w: 1, g: 1, f: 1, o: 1, on: 1, from: 1, to: 1, inner: 1, by: 1, new: 1, src: 1, because: 1 });

const T = { ev: [], n: 0, src: new Map(), objs: new Map(), head: {}, main: 0 };

/** Reads the blocks of the page. A last line that is torn is left out, and so is what is no event. */
function readTrace() {
  const text = $("trace").textContent;
  let all;
  try {
    all = JSON.parse("[" + text.trim().replace(/\n+/g, ",") + "]");
  } catch {
    all = [];
    for (const line of text.split("\n")) {
      try {
        if (line) all.push(JSON.parse(line));
      } catch {
        // A torn or foreign line.
      }
    }
  }
  for (const e of all) {
    if (!e || typeof e.k !== "string") continue;
    if (e.k === "trace") T.head = e;
    if (e.k === "src") T.src.set(String(e.f), { path: String(e.path ?? ""), lines: e.text == null ? null : String(e.text).split(/\r?\n/), at: new Map() });
    if (e.s > 0) T.ev.push(e);
  }
  T.n = T.ev.length;
  T.s = T.ev.map((e) => e.s);
  readSentences();
  index();
}

function readSentences() {
  T.said = $("sentences").textContent.trim();
  T.saidAt = [];
  for (let at = 0; at >= 0 && at < T.said.length; ) {
    T.saidAt.push(at);
    at = T.said.indexOf("\n", at) + 1 || -1;
  }
}

/** The words for an event, as the library wrote them: a few for lists, and the sentence. */
function told(i) {
  try {
    const words = JSON.parse(line(i));
    if (Array.isArray(words)) return words.map(String);
  } catch {
    // None, or torn.
  }
  const e = T.ev[i];
  return [e.k, e.k];
}

function line(i) {
  const from = T.saidAt[i], to = T.saidAt[i + 1];
  return from === undefined ? "" : T.said.slice(from, to);
}

const brief = (i) => show(told(i)[0], 160);
const sentence = (i) => told(i)[1];

/** The place of the event with number `s`; -1 where the trace has it not. */
function at(s) {
  if (!s) return -1;
  const guess = s - T.s[0], i = T.s[guess] === s ? guess : upTo(T.s, s);
  return T.s[i] === s ? i : -1;
}

/** In a sorted list the last entry that is not after `i`, by its index; -1 for none. */
function upTo(list, i) {
  let lo = 0, hi = list.length;
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    if (list[mid] <= i) lo = mid + 1;
    else hi = mid;
  }
  return lo - 1;
}

function object(id) {
  let o = T.objs.get(id);
  if (!o) T.objs.set(id, (o = { id, n: Number(id.slice(1)), label: "", ty: "", at: "", made: -1, ev: [], waiter: "" }));
  return o;
}

function index() {
  const n = T.n;
  T.depth = new Uint16Array(n);
  T.level = new Uint8Array(n);
  T.fam = new Uint8Array(n);
  T.end = new Int32Array(n).fill(-1);
  T.focus = new Array(n);
  /** The objects that an event is about. */
  T.touched = new Array(n);
  T.turns = [];
  T.outs = [];
  T.errors = [];
  T.starts = [];
  T.asks = new Map();
  const famOf = new Map();
  let turn = null, over = false, focus = "";
  const places = new Map();
  for (let i = 0; i < n; i++) {
    const e = T.ev[i], k = e.k;
    let fam = famOf.get(k);
    if (fam === undefined) famOf.set(k, (fam = family(k)));
    T.fam[i] = fam;
    T.level[i] = e.sys || k.startsWith("waker") ? 3 : k === "io.want" ? 2 : 1;
    const begin = e.b ? at(e.b) : -1;
    if (begin >= 0) T.end[begin] = i;
    const frame = begin >= 0 ? -1 : at(e.in);
    T.depth[i] = begin >= 0 ? T.depth[begin] : frame >= 0 ? Math.min(T.depth[frame] + 1, 65535) : 0;
    // What the program does between two turns belongs to none of them.
    const begins = k === "turn.begin";
    if (!turn || turn.turn !== e.turn || (over && (begins || !turn.outside))) T.turns.push((turn = { turn: e.turn || 0, outside: over && !begins, from: i, to: i, waits: [], runs: [] }));
    over = k === "turn.end" || (over && !begins);
    turn.to = i;
    if (k === "poll.end" && begin >= 0) turn.waits.push([begin, i]);
    if (k === "cb.end" && begin >= 0) turn.runs.push([begin, i]);
    if (k === "out") T.outs.push(i);
    if (k === "ask") T.asks.set(i, e);
    if (ERROR.test(k) || e.out === "panic") T.errors.push(i);
    if (STARTS.test(k)) T.starts.push(i);
    const list = (T.touched[i] = []);
    for (const field in e) if (NAMES[field] && isId(e[field])) touch(e[field], i, list);
    // The end of a frame belongs to whose frame it was.
    if (begin >= 0) for (const field in T.ev[begin]) if (NAMES[field] && isId(T.ev[begin][field])) touch(T.ev[begin][field], i, list);
    if (Array.isArray(e.of)) for (const id of e.of) if (isId(id)) touch(id, i, list);
    const own = k in MAKES && isId(e[MAKES[k]]) ? T.objs.get(e[MAKES[k]]) : null;
    if (own && own.made < 0) {
      own.made = i;
      own.at = e.at || "";
      own.ty = e.ty || e.what || "";
      if (e.label) own.label = String(e.label);
      if (k === "io.open" && e.name) own.label = String(e.name);
      if (k === "f.new") own.msg = String(e.msg ?? "");
      if (k === "g.new") {
        own.of = Array.isArray(e.of) ? e.of.filter(isId) : [];
        own.mode = String(e.mode ?? "");
        if (isId(e.d)) object(e.d).group = own;
      }
    }
    // Who takes a result takes the failure in it: the program, or the group that the Deferred is a member of.
    if (k === "d.take" && isId(e.d)) take(object(e.d), i, list);
    const group = isId(e.g) && T.objs.get(e.g);
    if (k === "g.got" && group.of?.[e.i]) take(object(group.of[e.i]), i, list);
    if (isId(e.d) && e.val && k !== "d.swallow") object(e.d).err = e.val.err;
    if (k === "d.fire" && T.objs.get(e.d)?.group) touch(T.objs.get(e.d).group.id, i, list);
    // Some get their names after they were made.
    if (e.label && k.endsWith(".name") && list[0]) list[0].label = String(e.label);
    if (e.label && k === "cb.begin" && isId(e.o)) object(e.o).label ||= String(e.label);
    const waits = isId(e.d) ? e.d : e.x, on = { "d.pause": e.on, "x.wait": e.on, "d.resume": e.from, "d.ret": e.inner }[k];
    if (isId(waits) && isId(on) && on[0] === "d") object(on).waiter ||= waits;
    if (e.at) {
      const where = place(e.at);
      const file = where && T.src.get(where.f);
      if (file) {
        if (!file.at.has(where.line)) file.at.set(where.line, []);
        file.at.get(where.line).push(i);
        places.set(where.f, (places.get(where.f) || 0) + 1);
      }
    }
    focus = isId(e.d) ? e.d : isId(e.x) ? e.x : (askedIn(e) ?? focus);
    T.focus[i] = focus;
    // A failure is raised for the chain that gets it next.
    if (failed(e.val) && isId(e.d)) for (let j = i - 1; j > i - 4 && j >= 0; j--) if (T.ev[j].f === e.val.err && !T.ev[j].d) T.focus[j] = focus;
  }
  T.kinds = [...famOf.keys()].join(" ");
  T.looped = T.turns.some((turn) => turn.turn);
  T.turnEnds = T.turns.map((turn) => turn.to);
  // The first Deferred or task; before it an event is about none.
  T.first = T.focus.find((id) => id) || "";
  T.main = [...places].sort((a, b) => b[1] - a[1])[0]?.[0] || [...T.src.keys()][0] || "";
  T.slots = [...T.objs.values()].sort((a, b) => ORDER.indexOf(a.id[0]) - ORDER.indexOf(b.id[0]) || a.n - b.n);
  T.slots.forEach((o, slot) => (o.slot = slot));
  T.rails = T.slots.filter(isRail);
}

/** In what order objects are listed. */
const ORDER = "dxgmiwpf";
const isRail = (o) => o.id[0] === "d" || o.id[0] === "x";

/** The chain in whose step, or the task in whose poll, something was registered that now runs. */
function askedIn(e) {
  const reg = at(e.reg), frame = reg < 0 ? null : T.ev[at(T.ev[reg].in)];
  return [frame?.d, frame?.x].find(isId);
}

function touch(id, i, touched) {
  const o = object(id), list = o.ev;
  if (list[list.length - 1] === i) return;
  list.push(i);
  touched.push(o);
}

const take = (o, i, list) => isId(o.err) && touch(o.err, i, list);

const placed = new Map();

/** `"1:22:17"` in parts. */
function place(at) {
  let p = placed.get(at);
  if (p === undefined) {
    const m = /^([^:]+):([0-9]+)(?::([0-9]+))?$/.exec(at);
    placed.set(at, (p = m && { f: m[1], line: Number(m[2]), col: Number(m[3] || 0) }));
  }
  return p;
}

const fileName = (path) => show(String(path).split(/[/\\]/).pop(), 60);

/** `:22`, or `other.rs:22` outside of the main file. */
function where(at) {
  const p = at && place(at);
  if (!p) return "";
  if (p.f === T.main) return `:${p.line}`;
  const file = T.src.get(p.f);
  return `${file ? fileName(file.path) : p.f}:${p.line}`;
}

const name = (id) => show(T.objs.get(id)?.label || "", 60);
const title = (id) => (name(id) ? `${id} ${name(id)}` : id);

function value(val, long) {
  if (!val || typeof val !== "object") return "";
  if (failed(val)) return `err ${val.err}${long && isId(val.err) ? message(val.err) : ""}`;
  const text = show(val.ok, 120);
  return `ok ${text[0] === "<" ? short(text) : text}`;
}

const failed = (val) => val?.err !== undefined;
const message = (f) => (T.objs.get(f)?.msg !== undefined ? ` “${show(T.objs.get(f).msg, 120)}”` : "");
const laneWord = (l) => (l === "e" || l === "err" ? "error" : "ok");
const step = (d, n) => T.objs.get(d) && stepsOf(d).get(n);

/** The steps of a chain by their number: their names, lanes and where they were added. Made when first asked for. */
function stepsOf(d) {
  const o = object(d);
  if (o.steps) return o.steps;
  o.steps = new Map();
  for (const i of o.ev) {
    const e = T.ev[i];
    if (e.d !== d || typeof e.n !== "number") continue;
    let s = o.steps.get(e.n);
    if (!s) o.steps.set(e.n, (s = { n: e.n, name: "", c: true, e: true, add: -1, run: -1, pass: -1, ret: -1, at: "" }));
    if (e.k === "d.add") {
      const lanes = String(e.lanes ?? "ce");
      const names = [e.label, ...(Array.isArray(e.names) ? e.names : [e.name])].filter(Boolean);
      s.c = lanes.includes("c");
      s.e = lanes.includes("e");
      s.name = String(e.label || [...new Set(names)].join(" | ") || "");
      s.add = i;
      s.at = e.at || "";
      s.sys = !!e.sys;
      s.late = !!e.late;
    } else if (e.k === "d.step") s.run = i;
    else if (e.k === "d.pass") s.pass = i;
    else if (e.k === "d.ret") s.ret = i;
  }
  o.order = [...o.steps.values()].sort((a, b) => a.n - b.n);
  return o.steps;
}

/** The three kinds of parents: called from, woken by, registered at. Places, -1 for none. */
function parents(i) {
  const e = T.ev[i];
  return { C: at(e.in), W: at(e.cause), R: at(e.reg) };
}

const KINSHIP = { C: "called from", W: "woken by", R: "registered at", B: "began at" };
const PARENTS = ["C", "W", "R"];
const letter = (l) => h("span", { class: `link ${l}`, title: KINSHIP[l], text: l });

/** The event that explains this one best, and by which link: who woke it; else where it began; else who called it. */
function because(i) {
  const e = T.ev[i];
  for (const [how, s] of [["W", e.cause], ["B", e.b], ["C", e.in]]) {
    const to = at(s);
    if (to < 0) continue;
    // What woke it and is still running has called it.
    return { to, how: how === "W" && runs(to, i) ? "C" : how };
  }
  return null;
}

const runs = (frame, i) => BEGINS.test(T.ev[frame].k) && frame < i && (T.end[frame] < 0 || T.end[frame] > i);

/** The callback that ran when a late timer was due, and so held it up; -1 for none. */
function heldUp(i) {
  const e = T.ev[i];
  if (e.k !== "timer.fire" || !e.late) return -1;
  const due = T.ev[object(e.m).ev.findLast((k) => k < i && T.ev[k].due >= 0)]?.due;
  let f = i;
  while (f >= 0 && !(T.ev[f].t <= due)) f--;
  if (f >= 0 && !BEGINS.test(T.ev[f].k)) f = at(T.ev[f].in);
  while (f >= 0 && T.ev[f].k !== "cb.begin") f = at(T.ev[f].in);
  return f;
}

/** From an event back to the poll or the setup that began it all, and beside each hop where that was registered. */
function whyChain(i, most) {
  const hops = [];
  let reg = -1;
  for (let to = i, how = ""; to >= 0 && hops.length < most; ) {
    const r = at(T.ev[to].reg);
    hops.push({ i: to, how, reg: r >= 0 && r !== reg ? r : -1 });
    if (r >= 0) reg = r;
    const next = because(to);
    if (!next) break;
    ({ to, how } = next);
  }
  return hops;
}
