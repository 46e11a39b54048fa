// A run whose notes say `part: NAME` did the same thing in several ways. Its parts stand side by side over one axis of
// time, each from its own beginning; under them stands what the trace has counted.

/** What a row tells of: what the sockets said, and where each way of writing waits and goes on. */
const TOLD = /^(note|io\.(ready|read|accept)|d\.(fire|step|pass|pause|resume|take)|x\.(wait|wake)|work\.done|g\.got|f\..+)$/;
/** Of a time so many events of a part; of a long run so many times around the cursor. */
const PER_CELL = 8, TIMES = 60;

const P = { parts: [], times: [], cells: new Map() };

function readParts() {
  for (let i = 0; i < T.n; i++) {
    const e = T.ev[i], name = e.k === "note" && /^part: (.+)$/.exec(e.msg)?.[1];
    if (name) P.parts.push({ name: show(name, 24), from: i, to: T.n - 1 });
  }
  // More than these no screen shows beside each other.
  if (P.parts.length < 2 || P.parts.length > 6) return (P.parts = []);
  P.parts.forEach((part, p) => {
    if (p) P.parts[p - 1].to = part.from - 1;
  });
  P.parts.forEach(count);
  P.times = [...P.cells.keys()].sort((a, b) => a - b);
}

function count(part, p) {
  const t0 = T.ev[part.from].t, n = (part.n = { turns: 0, callbacks: 0, made: 0, steps: 0, deepest: 0, errors: [] });
  for (let i = part.from; i <= part.to; i++) {
    const e = T.ev[i];
    if (e.k === "turn.begin") n.turns++;
    // The timers may be another's: a callback is what a source, a thread or a queue has called.
    if (e.k === "cb.begin" && e.slot !== "timer") n.callbacks++;
    if (e.k === "d.new" || e.k === "x.spawn") n.made++;
    if (e.k === "d.step" || e.k === "x.poll") n.steps++;
    if (BEGINS.test(e.k)) n.deepest = Math.max(n.deepest, T.depth[i] + 1);
    if (e.k === "f.new" && n.errors.length < 20) n.errors.push(fate(e.f, part.to));
    if (i === part.from || T.level[i] > 1 || !TOLD.test(e.k)) continue;
    const at = e.t - t0;
    if (!P.cells.has(at)) P.cells.set(at, P.parts.map(() => []));
    P.cells.get(at)[p].push(i);
  }
  n.time = T.ev[part.to].t - t0;
}

/** What became of a failure in this part: the event that tells it last, and in words. */
function fate(f, to) {
  const last = T.objs.get(f).ev.findLast((i) => i <= to && /^(f\.(new|handled|lost|resting|replaced)|d\.take|g\.got)$/.test(T.ev[i].k)), e = T.ev[last];
  const words = { "f.new": `raised ${where(e.at)}`, "f.handled": `handled ${where(step(e.d, e.n)?.at)}`, "d.take": `taken out of ${e.d}`, "g.got": `kept by ${e.g}` };
  return { i: last, text: `${f} ${words[e.k] || e.k.slice(2)}` };
}

const SUMS = [
  ["time", (n) => duration(n.time)], ["turns", (n) => n.turns], ["callbacks, without timers", (n) => n.callbacks],
  ["Deferreds and tasks made", (n) => n.made], ["steps and polls", (n) => n.steps], ["frames, at most", (n) => n.deepest],
];

function drawParts(i) {
  const now = P.parts.findLastIndex((part) => part.from <= i);
  // The last time that this part has reached.
  const reached = now < 0 ? 0 : upTo(P.times, T.ev[i].t - T.ev[P.parts[now].from].t);
  const from = Math.max(0, Math.min(reached - TIMES / 2, P.times.length - TIMES)), times = P.times.slice(from, from + TIMES);
  const go = (k, text) => {
    const here = k === i;
    return button({ class: `${k > i ? "future " : ""}${here ? "here" : ""} ${ERROR.test(T.ev[k].k) || failed(T.ev[k].val) ? "k-err" : ""}`, "aria-current": here ? "step" : null, "data-key": `part/${k}/${text ? 1 : 0}`, title: sentence(k), onclick: () => jump(k), text: text || brief(k).replace("note: ", "") });
  };
  const more = (n, what) => n > 0 && h("tr", {}, h("td", { class: "future", colspan: P.parts.length + 1, text: `${n} ${what}, not drawn` }));
  const row = (name, cell) => h("tr", {}, h("th", { scope: "row", text: name }), P.parts.map(cell));
  return h("table", { class: "parts" },
    h("thead", {}, h("tr", {}, h("th", { text: times.length ? "after" : "" }), P.parts.map((part, p) => h("th", { scope: "col", class: p === now && "here" }, go(part.from, part.name))))),
    h("tbody", {}, more(from, "times before"), times.map((time) => row(time ? duration(time) : "0", (_, p) => {
      const list = P.cells.get(time)[p];
      return h("td", { class: p === now && time === P.times[reached] && "at" }, list.slice(0, PER_CELL).map((k) => go(k)), list.length > PER_CELL && go(list[PER_CELL], `${list.length - PER_CELL} more`));
    })), more(P.times.length - from - times.length, "times after")),
    h("tfoot", {}, SUMS.filter(([, sum]) => P.parts.some((part) => sum(part.n))).map(([name, sum]) => row(name, (part) => h("td", { text: sum(part.n) }))),
      row("errors", (part) => h("td", {}, part.n.errors.map(({ i, text }) => go(i, text)), !part.n.errors.length && "no failure"))));
}
