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
  const kids = [svg("line", { class: "ticks-base", x1: THUMB / 2, x2: w - THUMB / 2, y1: 13, y2: 13 }), svg("line", { class: "ticks-done", id: "done", x1: THUMB / 2, x2: THUMB / 2, y1: 13, y2: 13 })];
  if (T.turns.length < w / 6) for (const turn of T.turns) if (turn.from) kids.push(svg("line", { class: "ticks-turn", x1: x(turn.from), x2: x(turn.from), y1: 5, y2: 21 }));
  const once = (places, cls, shape) => {
    let last = -9;
    for (const i of places) {
      const at = x(i);
      if (at - last < 3) continue;
      last = at;
      kids.push(svg("path", { class: cls, d: shape(at) }));
    }
  };
  once(T.errors.filter((i) => T.ev[i].k === "f.new" || T.ev[i].k === "f.lost"), "ticks-err", (a) => `M${a} 0l3.5 3.5l-3.5 3.5l-3.5 -3.5z`);
  once(lints.map((l) => l.i).sort((a, b) => a - b), "ticks-lint", (a) => `M${a - 3.5} 26h7l-3.5 -6z`);
  once([...view.marks.values()], "ticks-mark", (a) => `M${a - 2} 18h4v8h-4z`);
  $("ticks").replaceChildren(...kids);
}

const drawDone = (i) => $("done").setAttribute("x2", tick(i));

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
    kids.push(svg("rect", { class: `tb${turn.outside ? " out" : ""}${here ? " here" : ""}`, x: left, y: 2, width: right - left, height: 34, rx: 2, "data-i": turn.from }));
    // A name that does not fit is left out.
    if (right - left > (turn.outside && turn.turn ? 58 : 40)) kids.push(svg("text", { class: "tt", x: left + 5, y: 14, text: turn.turn === 0 ? "setup" : turn.outside ? "program" : right - left > 64 ? `turn ${turn.turn}` : turn.turn }));
    for (const [from, to] of turn.waits) {
      if (to < ax.from || from > ax.to) continue;
      const x1 = x(Math.max(from, ax.from)), x2 = x(Math.min(to, ax.to));
      kids.push(svg("path", { class: "tw", d: wave(x1, x2, 25) }));
      const time = duration(T.ev[to].t - T.ev[from].t);
      if (T.ev[to].t > T.ev[from].t && right - left > 118) kids.push(svg("text", { class: "tt", x: half ? right - 5 : Math.max(left + 56, (x1 + x2) / 2), y: 14, "text-anchor": half ? "end" : "middle", text: `wait ${time}` }));
    }
    let last = -9;
    for (const [from, to] of turn.runs) {
      if (to < ax.from || from > ax.to) continue;
      const x1 = x(Math.max(from, ax.from)) - half / 2, x2 = x(Math.min(to, ax.to)) + half / 2;
      if (x2 - last < 1.5) continue;
      last = x2;
      const bad = T.errors[upTo(T.errors, to)] >= from;
      kids.push(svg("rect", { class: `tr${bad ? " bad" : ""}`, x: x1, y: 20, width: Math.max(x2 - x1, 2.5), height: 10, rx: 1.5 }));
      if (bad) kids.push(svg("path", { class: "ticks-err", d: `M${(x1 + x2) / 2} 31l3 3l-3 3l-3 -3z` }));
    }
  }
  kids.push(svg("path", { class: "tc", d: `M${x(i)} 0V38` }));
  $("strip").replaceChildren(...kids);
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
  const w = Math.max(size.objects[0] - (innerWidth <= 700 ? 116 : 184), 60);
  lanes.draw = { i, ax, w, x: (k) => ax.x(Math.min(Math.max(k, ax.from), ax.to)) * w };
  const about = list.findIndex((o) => T.touched[i].includes(o));
  laneRows.show(list.length, about < 0 ? list.findIndex((o) => view.drawn.has(o.id)) : about);
  $("lane-key").textContent = "○ made   ● ok   ◆ error   ═ paused   ! rests   ▪ woken";
}

function laneRow(r) {
  const o = lanes.list[r], { i, ax, x } = lanes.draw;
  const picture = svg("svg", { class: "ob", "aria-hidden": "true", focusable: "false" });
  const start = upTo(o.ev, ax.from - 1) + 1, stop = upTo(o.ev, ax.to);
  // How it stood where this part begins.
  let status = lanes.before.status(o.id);
  const put = (tag, props) => picture.append(svg(tag, props));
  const seg = (from, to, status) => {
    const cls = SEGMENT[status];
    if (!cls) return;
    const cut = i > from && i < to ? [[from, i], [i, to]] : [[from, to]];
    for (const [a, b] of cut) {
      const late = a >= i ? " late" : "";
      if (cls === "dbl") {
        put("line", { class: `dbl${late}`, x1: x(a), x2: x(b), y1: 9.5, y2: 9.5 });
        put("line", { class: `dbl${late}`, x1: x(a), x2: x(b), y1: 12.5, y2: 12.5 });
      } else put("line", { class: cls + late, x1: x(a), x2: x(b), y1: 11, y2: 11 });
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
    if (kind === "n") put("circle", { class: `m-n${late}`, cx: a, cy: 11, r: 3.5 });
    else if (kind === "v" && failed(e.val)) put("path", { class: `m-e${late}`, d: `M${a} 5.5l5.5 5.5l-5.5 5.5l-5.5 -5.5z` });
    else if (kind === "v") put("circle", { class: `m-c${late}`, cx: a, cy: 11, r: 4.5 });
    else if (kind === "r") put("path", { class: `m-r${late}`, d: `M${a - 2} 4h4l-.8 8h-2.4zM${a - 1.5} 14h3v3h-3z` });
    else if (kind === "l") put("path", { class: `m-l${late}`, d: `M${a - 5} 8l2 -2l3 3l3 -3l2 2l-3 3l3 3l-2 2l-3 -3l-3 3l-2 -2l3 -3z` });
    else put("path", { class: late, d: `M${a - 3} 8h6v6h-6z` });
  }
  put("path", { class: "cur", d: `M${x(i)} 0V22`, fill: "none", style: "stroke:var(--here-line)" });
  const now = statusAt(i, o.id);
  return h("button", {
    class: `lane-row${o.ev[0] > i ? " future" : ""}${view.sel.includes(o.id) ? " sel" : ""}`, "data-key": `lane/${o.id}`,
    title: `${title(o.id)}${now ? `: ${now}` : ""}`,
    onclick: (event) => {
      const rect = picture.getBoundingClientRect();
      if (event.detail === 0 || event.clientX < rect.left) return chooseObject(o);
      // The event of this object that is next to the pointer.
      let best = o.ev[0];
      for (let j = start; j <= stop; j++) if (Math.abs(x(o.ev[j]) - (event.clientX - rect.left)) < Math.abs(x(best) - (event.clientX - rect.left))) best = o.ev[j];
      jump(best);
    },
  }, h("span", { class: "t" }, title(o.id), span("vh", now ? `: ${now}` : ": not made yet")), picture);
}

function chooseObject(o) {
  if (isRail(o)) select(o.id);
  else jump(o.ev[Math.max(upTo(o.ev, view.i), 0)]);
}
