// What was so at an event: the fold of all events up to it. The run is folded once when the page opens; a copy is kept
// every 500 events, so that a jump anywhere replays at most 499. Copies share what did not change between them.

const EVERY = 500;
const PAGE = 512;

/** How an object may stand. The order is that of the codes in the copies. */
const STATUS = [
  "", "not fired", "ok", "error", "running", "paused", "resting", "lost", "done", "armed", "fired", "cancelled",
  "open", "closed", "queued", "spawned", "waiting", "woken", "raised", "handled", "replaced", "gone", "ready", "taken out", "kept by a group",
];
const CODE = Object.fromEntries(STATUS.map((word, code) => [word, code]));
/** What is still to come to an end; the rest is done. */
const LIVE = new Set(["not fired", "running", "paused", "resting", "armed", "open", "queued", "spawned", "waiting", "woken", "raised", "ready"]);
const LIVES = STATUS.map((word) => LIVE.has(word));

/** How an object stands after an event that touches it. */
function after(id, was, e) {
  const end = e.b ? T.ev[at(e.b)] : null;
  switch (id[0]) {
    case "d":
      if (e.k === "f.moved" && e.from === id) return "done";
      if (e.k === "g.new" && e.d === id) return was || "not fired";
      if (e.d !== id && !(end && end.d === id)) return was;
      switch (e.k) {
        case "d.new": return "not fired";
        case "d.fire": case "d.resume": return failed(e.val) ? "error" : "ok";
        case "d.step": return "running";
        case "d.ret": return isId(e.inner) ? "paused" : failed(e.val) ? "error" : "ok";
        case "d.pause": return "paused";
        case "f.resting": return "resting";
        case "f.lost": return "lost";
        case "d.take": return "done";
        case "d.drop": return e.state === "pending" || was === "lost" || LIVE.has(was) ? was : "done";
        default: return was;
      }
    case "m":
      return { "timer.arm": "armed", "timer.reset": "armed", "timer.fire": "fired", "timer.cancel": "cancelled", "cb.begin": "running", "cb.end": "fired" }[e.k] || was;
    case "i":
      return { "io.open": "open", "io.close": "closed" }[e.k] || was || "open";
    case "p":
      return { post: "queued", "cb.begin": "running", "cb.end": "done" }[e.k] || was;
    case "w":
      return { "work.queue": "queued", "work.begin": "running", "work.end": "ready", "work.done": "done" }[e.k] || was;
    case "x":
      if (e.x !== id && !(end && end.x === id)) return was;
      if (e.k === "x.ret") return isReady(e) ? "done" : "waiting";
      return { "x.spawn": "spawned", "x.poll": "running", "x.wake": "woken", "x.drop": was === "done" ? "done" : "gone" }[e.k] || was;
    case "f":
      // A group keeps the failures of its members. One that it has no room for is lost after that.
      if (e.k === "g.got") return was === "lost" ? was : "kept by a group";
      return { "f.new": "raised", "f.handled": "handled", "f.resting": "resting", "f.lost": "lost", "d.take": "taken out" }[e.k] || (e.k === "f.replaced" && e.f === id ? "replaced" : was);
    default:
      return { "g.new": "waiting", "d.fire": "done" }[e.k] || was;
  }
}

class State {
  constructor() {
    this.i = -1;
    this.frames = [];
    this.outs = 0;
    this.pages = [];
    this.shared = [];
    this.live = {};
  }

  copy() {
    const c = new State();
    c.i = this.i;
    c.frames = this.frames.slice();
    c.outs = this.outs;
    c.pages = this.pages.slice();
    c.shared = this.pages.map(() => true);
    this.shared = this.pages.map(() => true);
    c.live = { ...this.live };
    return c;
  }

  status(id) {
    const o = T.objs.get(id);
    return o ? STATUS[this.pages[Math.floor(o.slot / PAGE)]?.[o.slot % PAGE] || 0] : "";
  }

  set(o, status) {
    const p = Math.floor(o.slot / PAGE);
    while (this.pages.length <= p) {
      this.pages.push(new Uint8Array(PAGE));
      this.shared.push(false);
    }
    if (this.shared[p]) {
      this.pages[p] = this.pages[p].slice();
      this.shared[p] = false;
    }
    this.pages[p][o.slot % PAGE] = CODE[status] || 0;
  }

  /** Goes on by one event. */
  next() {
    const i = ++this.i, e = T.ev[i];
    const begin = e.b ? at(e.b) : -1;
    if (begin >= 0) {
      const open = this.frames.lastIndexOf(begin);
      if (open >= 0) this.frames.length = open;
    } else if (BEGINS.test(e.k)) this.frames.push(i);
    if (e.k === "out") this.outs++;
    for (const o of T.touched[i]) {
      const was = this.status(o.id), now = after(o.id, was, e);
      if (was === now) continue;
      this.set(o, now);
      const letter = o.id[0];
      this.live[letter] = (this.live[letter] || 0) + (LIVE.has(now) ? 1 : 0) - (LIVE.has(was) ? 1 : 0);
    }
    return this;
  }

  /** The objects that are still to come to an end. */
  living() {
    const found = [];
    this.pages.forEach((page, p) => page.forEach((code, k) => LIVES[code] && found.push(T.slots[p * PAGE + k])));
    return found;
  }

  /** All of it in one text, to compare. */
  text() {
    const objects = [...T.objs.keys()].map((id) => [id, this.status(id)]).filter(([, status]) => status);
    const live = Object.entries(this.live).filter(([, n]) => n).sort();
    return JSON.stringify({ i: this.i, frames: this.frames, outs: this.outs, live, objects });
  }
}

const copies = [];
let walking = new State();

/** Folds the whole run once and keeps the copies. */
function foldAll() {
  const state = new State();
  for (let i = 0; i < T.n; i++) {
    if (i % EVERY === 0) copies.push(state.copy());
    state.next();
  }
}

/** What is so after event `i`. A step forward is one event; all else starts from a copy. */
function stateAt(i) {
  if (walking.i > i || walking.i < i - EVERY) walking = copies[Math.floor(i / EVERY)].copy();
  while (walking.i < i) walking.next();
  return walking;
}

const statusAt = (i, id) => stateAt(i).status(id);

/** Of a long chain so many events before the cursor are looked at, and so many steps after it. */
const BACK = 90, AHEAD = 30;

/**
 * The rows of a chain as it stands after event `upto`: what happened in order, then the steps that are still to come.
 * A row: `mark` (its shape), `lane` ("c" or "e"), `text` and `note`, `ev` (the events it stands for), `inner` (the chain
 * that is drawn beside it).
 */
function chainRows(id, upto) {
  if (id[0] === "x") return taskRows(id, upto);
  const o = object(id), steps = stepsOf(id), rows = [];
  const add = (mark, lane, text, note, i, more) => {
    rows.push({ mark, lane, text, note, ev: i < 0 ? [] : [i], ...more });
    return rows[rows.length - 1];
  };
  const last = (mark) => rows.findLast((row) => row.mark === mark);
  const seen = upTo(o.ev, upto);
  const known = o.made >= 0 ? o.made <= upto : seen >= 0;
  const first = seen > BACK + 40 ? seen - BACK : 0;
  let lane = "c", fired = first > 0 && statusAt(upto, id) !== "not fired", pause = null, ran = null, over = "", next = 0;
  if (first) add("gap", lane, `${first} events before, not drawn`, "", o.ev[0]);
  if (o.group && o.group.made <= upto) add("group", "c", `${o.group.mode || "all"} of ${o.group.of.length}`, "", o.group.made, { members: o.group.of });
  const toLane = (val) => (failed(val) ? "e" : "c");
  const arrive = (val, i, note) => {
    lane = toLane(val);
    add("value", lane, value(val, true), note, i);
  };
  for (let j = first; j <= seen; j++) {
    const i = o.ev[j], e = T.ev[i];
    const end = e.b ? T.ev[at(e.b)] : null;
    if (e.k === "canceller.end" && end?.d === id) {
      const ask = last("ask");
      if (ask) {
        ask.ev.push(i);
        ask.note = `${where(T.ev[ask.ev[0]].at)} ` + (e.fired ? `the canceller fired it${e.out === "panic" ? ", then panicked" : ""}` : `the canceller ${e.out === "panic" ? "panicked" : "did not fire it"}: it fails now`);
      }
      continue;
    }
    if (e.from === id) {
      over = "moved on";
      continue;
    }
    if (e.d !== id) continue;
    switch (e.k) {
      case "d.fire":
        fired = true;
        arrive(e.val, i, firedWords(e) + firedBy(i));
        break;
      case "d.step": {
        const s = steps.get(e.n);
        next = e.n + 1;
        lane = e.lane === "e" ? "e" : "c";
        ran = add("step", lane, stepName(s, e), `${where(s?.at)}${s?.late ? " inside the add" : ""}`, i, { n: e.n, running: true });
        break;
      }
      case "d.ret":
        if (ran && ran.n === e.n) {
          ran.running = false;
          if (isId(e.inner)) {
            pause = add("pause", lane, `gave back ${e.inner}`, "", i, { inner: e.inner, since: e.t });
          } else if (steps.get(e.n)?.sys) ran.ev.push(i);
          else arrive(e.val, i, "");
        }
        break;
      case "d.pass": {
        const s = steps.get(e.n);
        next = e.n + 1;
        lane = e.lane === "e" ? "e" : "c";
        add("pass", lane, stepName(s, e), `${where(s?.at)} ${lane === "e" ? "no errback" : "no callback"}, passed by`, i, { n: e.n });
        break;
      }
      case "d.pause":
        if (pause) pause.ev.push(i);
        else pause = add("pause", lane, "", "", i, { inner: isId(e.on) ? e.on : null });
        pause.text = `paused on ${show(e.on, 20)}`;
        pause.since = e.t;
        break;
      case "d.resume":
        if (pause && e.t > pause.since) pause.note = duration(e.t - pause.since);
        lane = toLane(e.val);
        add("resume", lane, `resumed with ${value(e.val, true)}`, "", i);
        pause = null;
        break;
      case "d.cancel":
        add("ask", lane, "cancel", cancelWords(e), i);
        break;
      case "canceller.begin":
        last("ask")?.ev.push(i);
        break;
      case "d.swallow":
        add("swallow", "c", "late result swallowed", where(e.at), i);
        break;
      case "f.handled": {
        const row = rows.findLast((row) => row.mark === "step" && row.n === e.n);
        if (row) {
          row.note += ` handled ${e.f}`;
          row.ev.push(i);
        }
        break;
      }
      case "f.resting":
        add("rest", "e", `${e.f} rests`, "no errback yet", i);
        break;
      case "f.lost":
        add("lost", "e", `${e.f} is lost`, `no errback; add one after ${lastPlace(o)}`, i);
        over = "lost";
        break;
      case "d.take":
        over = "taken out";
        break;
    }
  }
  if (known && !fired) add("unfired", "c", "not fired yet", "", -1);
  // The next one that has nothing for this lane will be passed by.
  let soon = fired && !pause && !ran?.running;
  const ahead = o.order.slice(next && o.order.findLastIndex((s) => s.n < next) + 1).filter((s) => s.add >= 0 && s.add <= upto);
  for (const s of ahead.slice(0, AHEAD)) {
    const gap = soon && !(lane === "e" ? s.e : s.c);
    soon = false;
    add("todo", lane, stepName(s, s), `${where(s.at)}${gap ? " will be passed by" : ""}`, s.add, { n: s.n, c: s.c, e: s.e });
  }
  if (ahead.length > AHEAD) add("gap", lane, `${ahead.length - AHEAD} more steps`, "", ahead[AHEAD].add);
  return { rows, over, known };
}

/** A task as a rail with one lane: its polls, and what it awaits between them. */
function taskRows(id, upto) {
  const o = object(id), rows = [];
  let pause = null, done = false;
  const add = (mark, text, note, i, more) => rows.push({ mark, lane: "c", text, note, ev: [i], ...more });
  const seen = upTo(o.ev, upto), first = seen > BACK + 40 ? seen - BACK : 0;
  if (first) add("gap", `${first} events before, not drawn`, "", o.ev[0]);
  for (let j = first; j <= seen; j++) {
    const i = o.ev[j], e = T.ev[i];
    const end = e.b ? T.ev[at(e.b)] : null;
    if (e.k === "x.spawn" && e.x === id) add("value", "spawned", where(e.at), i);
    else if (e.k === "x.poll" && e.x === id) {
      pause = null;
      add("step", `poll ${e.n+1}`, "", i, { n: e.n, running: true });
    } else if (e.k === "x.ret" && end?.x === id) {
      const row = rows.findLast((row) => row.mark === "step");
      if (row) row.running = false;
      if (isReady(e)) {
        done = true;
        add("value", "ready", "", i);
      } else if (pause) pause.ev.push(i);
    } else if (e.k === "x.wait" && e.x === id) {
      add("pause", `awaits ${isId(e.on) ? title(e.on) : "something"}`, where(e.at), i, { inner: isId(e.on) && e.on[0] === "d" ? e.on : null });
      pause = rows[rows.length - 1];
    } else if (e.k === "x.wake" && e.x === id) {
      add("resume", `woken${e.self ? " by itself" : ""}`, "", i);
    } else if (e.k === "x.drop" && e.x === id) add("value", done ? "gone" : "dropped before its end", "", i);
  }
  return { rows, over: "", known: seen >= 0 };
}

const stepName = (s, e) => show(s?.name || `step ${e.n}`, 80);

function cancelWords(e) {
  const how = show(e.how, 40), words = {
    canceller: "the canceller is asked", none: "no canceller: it fails now, a late result will be swallowed",
    forward: `passed on to ${show(e.to, 20)}`, "too late": "too late: nothing happens",
  };
  return `${where(e.at)} ${words[how] ?? how}`;
}

function lastPlace(o) {
  let last = o.at;
  for (const s of stepsOf(o.id).values()) if (s.at) last = s.at;
  return where(last);
}

/** The library fires what nobody else does: then the failure says why. */
function firedWords(e) {
  const made = failed(e.val) && T.ev[T.objs.get(e.val.err)?.made];
  const words = { cancel: `cancelled ${where(made?.at)}`, abandoned: "abandoned", panic: "its canceller panicked" };
  return (!e.at && words[made?.via]) || `fired ${where(e.at)}`;
}

/** ` by m1 deliver poem`: the callback of the loop that an event lies in. */
function firedBy(i) {
  for (let f = at(T.ev[i].in), hops = 0; f >= 0 && hops < 100; f = at(T.ev[f].in), hops++) {
    const e = T.ev[f];
    if (e.k === "cb.begin") return ` by ${isId(e.o) ? title(e.o) : show(e.label || e.slot, 60)}`;
  }
  return "";
}
