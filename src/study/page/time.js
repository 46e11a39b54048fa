// Time as pictures: the slider's marks, the strip of turns, and a lane for each object. The strip and the lanes show the
// same part of the run: all of a short one; of a long one the part around the cursor.

const WHOLE = 320, PART = 240;

/** The part of the run that is drawn: places of its first and last event. Only the cursor decides. */
function partAt(i) {
  if (T.n <= WHOLE) return [0, T.n - 1];
  const half = PART / 2;
  const from = Math.min(Math.max(0, (Math.floor(i / half) - 1) * half + half / 2), T.n - PART);
  return [from, from + PART - 1];
}

/** From a place to a share of the width, by the chosen axis. */
function axis(i) {
  const [from, to] = partAt(i);
  if (view.axis === "time") {
    const t0 = T.ev[from].t, t1 = T.ev[to].t;
    // Where no time passes, steps are all there is to see.
    if (t1 > t0) return { from, to, x: (k) => (T.ev[k].t - t0) / (t1 - t0) };
  }
  return { from, to, x: (k) => (k - from + 0.5) / (to - from + 1) };
}

/**
 * The sizes of the boxes that are drawn into. They are asked for when one of them has changed, and not while the page is
 * being changed: then each question would make the browser lay it out anew.
 */
const size = {};

/** Takes the sizes, and says whether one of the widths has changed. */
function measure() {
  let changed = false;
  for (const id of ["ticks", "strip", "events-list", "objects", "source"]) {
    const { clientWidth, clientHeight } = $(id);
    changed ||= size[id]?.[0] !== clientWidth;
    size[id] = [clientWidth, clientHeight || 400];
  }
  return changed;
}

const THUMB = 12;

const tick = (i) => THUMB / 2 + (i / Math.max(T.n - 1, 1)) * (size.ticks[0] - THUMB);

function drawTicks() {
  const [w] = size.ticks, x = tick;
  const kids = [path("ticks-base", `M${THUMB / 2} 13H${w - THUMB / 2}`), path("ticks-done", "", { id: "done" })];
  if (T.turns.length < w / 6) for (const turn of T.turns) if (turn.from) kids.push(path("ticks-turn", `M${x(turn.from)} 5v16`));
  const once = (places, cls, shape) => {
    let last = -9;
    for (const i of places) {
      const at = x(i);
      if (at - last < 3) continue;
      last = at;
      kids.push(path(cls, shape(at)));
    }
  };
  once(T.errors.filter((i) => T.ev[i].k === "f.new" || T.ev[i].k === "f.lost"), "ticks-err", (a) => diamond(a, 3.5, 3.5));
  once(lints.map((l) => l.i).sort((a, b) => a - b), "ticks-lint", (a) => `M${a - 3.5} 26h7l-3.5 -6z`);
  once([...view.marks.values()], "ticks-mark", (a) => `M${a - 2} 18h4v8h-4z`);
  $("ticks").replaceChildren(...kids);
}

const drawDone = (i) => $("done").setAttribute("d", `M${THUMB / 2} 13H${tick(i)}`);

function drawStrip(i) {
  const [w] = size.strip, ax = axis(i);
  const x = (k) => ax.x(k) * (w - 4) + 2;
  const kids = [];
  const half = view.axis === "steps" || T.ev[ax.to].t === T.ev[ax.from].t ? (w - 4) / (ax.to - ax.from + 1) / 2 : 0;
  // From the first turn that reaches into this part.
  for (let n = upTo(T.turnEnds, ax.from - 1) + 1; n < T.turns.length && T.turns[n].from <= ax.to; n++) {
    const turn = T.turns[n];
    const a = Math.max(turn.from, ax.from), b = Math.min(turn.to, ax.to);
    const left = x(a) - half, right = Math.max(n + 1 < T.turns.length && !half && T.turns[n + 1].from <= ax.to ? x(T.turns[n + 1].from) : x(b) + half, left + 2);
    const here = i >= turn.from && i <= turn.to;
    kids.push(box(`tb${turn.outside ? " out" : ""}${here ? " here" : ""}`, left, 2, right - left, 34, 2));
    // A name that does not fit is left out.
    if (right - left > (turn.outside && turn.turn ? 58 : 40)) kids.push(svg("text", { class: "tt", x: left + 5, y: 14, text: T.looped && !turn.turn ? "setup" : !turn.turn || turn.outside ? "program" : right - left > 64 ? `turn ${turn.turn}` : turn.turn }));
    for (const [from, to] of turn.waits) {
      if (to < ax.from || from > ax.to) continue;
      const x1 = x(Math.max(from, ax.from)), x2 = x(Math.min(to, ax.to));
      kids.push(path("tw", wave(x1, x2, 25)));
      const time = duration(T.ev[to].t - T.ev[from].t);
      if (T.ev[from].timeout !== 0 && T.ev[to].t > T.ev[from].t && right - left > 118) kids.push(svg("text", { class: "tt", x: half ? right - 5 : Math.max(left + 56, (x1 + x2) / 2), y: 14, "text-anchor": half ? "end" : "middle", text: `wait ${time}` }));
    }
    let last = -9;
    for (const [from, to] of turn.runs) {
      if (to < ax.from || from > ax.to) continue;
      const x1 = x(Math.max(from, ax.from)) - half / 2, x2 = x(Math.min(to, ax.to)) + half / 2;
      if (x2 - last < 1.5) continue;
      last = x2;
      const bad = T.errors[upTo(T.errors, to)] >= from;
      kids.push(box(`tr${bad ? " bad" : ""}`, x1, 20, Math.max(x2 - x1, 2.5), 10, 1.5));
      if (bad) kids.push(path("ticks-err", diamond((x1 + x2) / 2, 34, 3)));
    }
  }
  $("strip").replaceChildren(...kids, path("tc", `M${x(i)} 0V38`));
}

function wave(from, to, y) {
  let d = `M${from} ${y}`;
  if (to - from < 4) return `${d}H${Math.max(to, from + 1)}`;
  const n = Math.min(Math.max(2, Math.round((to - from) / 8)), 200), step = (to - from) / n;
  for (let k = 0; k < n; k++) d += `q${step / 2} ${k % 2 ? 5 : -5} ${step} 0`;
  return d;
}

const SEGMENT = { "not fired": "wait", armed: "wait", open: "wait", queued: "wait", spawned: "wait", waiting: "wait", ok: "okl", error: "errl", running: "runs", paused: "dbl", resting: "restl", ready: "wait", woken: "okl" };
const MARKS = [
  [/^(d\.new|timer\.arm|io\.open|post|work\.queue|x\.spawn|g\.new)$/, "n"],
  [/^(timer\.fire|io\.ready|work\.done|x\.wake|cb\.begin)$/, "s"],
  [/^(f\.resting)$/, "r"], [/^(f\.lost|timer\.cancel|d\.cancel)$/, "l"],
  [/^(d\.fire|d\.resume)$/, "v"],
];

/** What the marks mean, for those that a run may have. */
const LANE_KEY = [
  ["○ made", /./], ["● ok", /d\.fire/], ["◆ error", /f\.new/], ["═ paused", /d\.pause/], ["! rests", /f\.resting/], ["▪ woken", /cb\.begin|x\.wake/],
  ["━ runs", /cb\.begin|d\.step|x\.poll/], ["✕ cancelled", /\.cancel/], ["✕ lost", /f\.lost/],
];

let laneRows, lanes = { from: -1, list: [] };

/** The objects of this part of the run: those that do something in it, then those that are there all the while. */
function lanesOf(ax) {
  if (lanes.from === ax.from) return lanes.list;
  const before = copies[Math.floor(ax.from / EVERY)].copy();
  while (before.i < ax.from - 1) before.next();
  const busy = new Set(T.touched.slice(ax.from, ax.to + 1).flat());
  const list = [...[...busy].sort((a, b) => a.slot - b.slot), ...before.living().filter((o) => !busy.has(o))];
  lanes = { from: ax.from, before, list: list.filter((o) => o.id[0] !== "f") };
  return lanes.list;
}

function drawObjects(i) {
  const ax = axis(i), list = lanesOf(ax);
  laneRows.empty = "This run made no object: no timer, no source, no Deferred.";
  const w = Math.max(size.objects[0] - (innerWidth <= 700 ? 116 : 184), 60);
  lanes.draw = { i, ax, w, x: (k) => ax.x(Math.min(Math.max(k, ax.from), ax.to)) * w };
  const about = list.findIndex((o) => T.touched[i].includes(o));
  laneRows.show(list.length, about < 0 ? list.findIndex((o) => view.drawn.has(o.id)) : about);
  $("lane-key").textContent = $("lane-key").title = list.length ? LANE_KEY.filter(([, test]) => test.test(T.kinds)).map(([words]) => words).join("   ") : "";
}

function laneRow(r) {
  const o = lanes.list[r], { i, ax, x } = lanes.draw;
  const picture = drawing("ob");
  const start = upTo(o.ev, ax.from - 1) + 1, stop = upTo(o.ev, ax.to);
  // How it stood where this part begins.
  let status = lanes.before.status(o.id);
  const put = (...kids) => picture.append(...kids);
  const seg = (from, to, status) => {
    const cls = SEGMENT[status];
    if (!cls) return;
    for (const [a, b] of i > from && i < to ? [[from, i], [i, to]] : [[from, to]]) {
      for (const y of cls === "dbl" ? [9.5, 12.5] : [11]) put(svg("line", { class: cls + (a >= i ? " late" : ""), x1: x(a), x2: x(b), y1: y, y2: y }));
    }
  };
  const marks = [];
  if (status) seg(ax.from, start <= stop ? o.ev[start] : ax.to, status);
  for (let j = start; j <= stop; j++) {
    const k = o.ev[j], e = T.ev[k];
    status = after(o.id, status, e);
    const next = j + 1 < o.ev.length ? o.ev[j + 1] : LIVE.has(status) ? T.n - 1 : k;
    if (next > k) seg(Math.max(k, ax.from), Math.min(next, ax.to), status);
    const kind = MARKS.find(([test]) => test.test(e.k))?.[1];
    if (kind && k >= ax.from && (kind !== "v" || e.d === o.id) && (kind !== "n" || k === o.made)) marks.push([kind, k, e]);
  }
  for (const [kind, k, e] of marks) {
    const a = x(k), late = k > i ? " late" : "";
    put(kind === "n" ? dot(`m-n${late}`, a, 11, 3.5)
      : kind === "v" && failed(e.val) ? path(`m-e${late}`, diamond(a, 11, 5.5))
      : kind === "v" ? dot(`m-c${late}`, a, 11, 4.5)
      : kind === "r" ? path(`m-r${late}`, `M${a - 2} 4h4l-.8 8h-2.4zM${a - 1.5} 14h3v3h-3z`)
      : kind === "l" ? path(`m-l${late}`, `M${a - 5} 8l2 -2l3 3l3 -3l2 2l-3 3l3 3l-2 2l-3 -3l-3 3l-2 -2l3 -3z`)
      : path(late, `M${a - 3} 8h6v6h-6z`));
  }
  put(path("cur", `M${x(i)} 0V22`));
  const now = statusAt(i, o.id);
  return button({
    class: `lane-row${o.ev[0] > i ? " future" : ""}${view.sel.includes(o.id) ? " sel" : ""}`, "data-key": `lane/${o.id}`,
    title: `${title(o.id)}${now ? `: ${now}` : ""}`,
    onclick: (event) => {
      const rect = picture.getBoundingClientRect();
      if (event.detail === 0 || event.clientX < rect.left) return chooseObject(o);
      // The event of this object that is next to the pointer.
      jump(nearest([o.ev[0], ...o.ev.slice(start, stop + 1)], x, event.clientX - rect.left));
    },
  }, h("span", { class: "t" }, title(o.id), span("vh", now ? `: ${now}` : ": not made yet")), picture);
}

/** The event whose place is next to `at`. */
const nearest = (list, x, at) => list.reduce((best, k) => (Math.abs(x(k) - at) < Math.abs(x(best) - at) ? k : best));

function chooseObject(o) {
  if (isRail(o)) select(o.id);
  else jump(o.ev[Math.max(upTo(o.ev, view.i), 0)]);
}
