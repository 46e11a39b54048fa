// The two-lane rails. The rows are nested lists in the document; the lanes are one drawing beside them, which a screen
// reader does not meet. A chain that another one waits for opens beside the pause, and an arrow goes there and back.

const ROW = 28, HEAD = 30, LANE = 34, FIRST = 16, IN = 78;
/** Deeper chains are a click away: so many fit beside each other on a screen. */
const DEEP = 3;
const PER_PAGE = 60;

const laneX = (depth, lane) => FIRST + depth * IN + (lane === "e" ? LANE : 0);
const textX = (depth) => FIRST + depth * IN + LANE + 22;

/** The chain in whose picture `id` is drawn: outwards along those that wait for it, at most three. */
function rootOf(id) {
  for (let k = 0; k < DEEP; k++) {
    const to = T.objs.get(id)?.waiter;
    if (!to || to === id) break;
    id = to;
  }
  return id;
}

/** What the rails show at `i`: the chosen ones; else that of the event, and what waits for it. */
function shownRails(i) {
  if (view.sel.length) return view.sel.filter((id) => T.objs.has(id));
  const id = T.focus[i];
  return id ? [rootOf(id)] : [];
}

function lastValue(id, i) {
  const list = object(id).ev;
  for (let j = upTo(list, i); j >= 0; j--) {
    const e = T.ev[list[j]];
    if (e.d === id && e.val && e.k !== "d.swallow") return e.val;
  }
  return null;
}

function statusWords(id, i) {
  const status = statusAt(i, id), o = object(id);
  switch (status) {
    case "": return "not made yet";
    case "paused": {
      for (let j = upTo(o.ev, i); j >= 0; j--) {
        const e = T.ev[o.ev[j]];
        if (e.d === id && isId(e.on || e.inner)) return `paused on ${e.on || e.inner}`;
      }
      return status;
    }
    case "ok": case "error": return value(lastValue(id, i));
    case "done": return ["done", value(lastValue(id, i))].filter(Boolean).join(", ");
    case "resting": return `${lastValue(id, i)?.err ?? "error"} rests !`;
    case "lost": return `LOST ${lastValue(id, i)?.err ?? ""}`;
    default: return status;
  }
}

const MARK_WORDS = { value: "value", step: "step", pass: "passed by:", todo: "not yet:", pause: "pause:", rest: "error rests:", group: "group:" };

/** Draws one rail into an element of its own. */
function drawRail(id, i, links) {
  const marks = drawing("track");
  const drawn = new Set();
  let y = 0;
  const lanes = svg("g"), paths = svg("g"), nodes = svg("g");
  marks.append(lanes, paths, nodes);
  const put = (...kids) => nodes.append(...kids);
  const word = (cls, x, y, text) => put(svg("text", { class: cls, x, y, text }));
  const line = (cls, d) => paths.append(path(cls, d));

  function chainList(id, depth) {
    drawn.add(id);
    const chain = chainRows(id, i), rows = chain.rows, o = object(id);
    const xc = laneX(depth, "c"), xe = laneX(depth, "e"), task = id[0] === "x";
    const head = h("div", { class: "head", style: `padding-left:${depth ? textX(depth) - 6 : 4}px` });
    const status = statusAt(i, id);
    head.append(
      h(depth ? "b" : "h3", { text: title(id) }),
      span("ty", `${o.ty ? (task ? "" : `Deferred<${short(o.ty)}>`) : ""} ${where(o.at)}`),
      span(`st ${status}`, statusWords(id, i)),
    );
    if (!depth) y += HEAD;
    const nameY = depth ? y + 12 : y + 10;
    word("lane c", xc, nameY, task ? "task" : "ok");
    if (!task) word("lane e", xe, nameY, "err");
    y += depth ? HEAD : 16;
    const list = h("ol", { "aria-label": depth ? `${title(id)}, which is waited for` : title(id), style: depth ? null : "padding-top:16px" });
    const startY = y - 4;
    // The path that the value took: from row to row.
    let px = 0, py = 0;
    const go = (x, to, lane) => {
      if (py) line(`go ${lane}`, px === x ? `M${px} ${py}V${to}` : `M${px} ${py}C${px} ${py + 16} ${x} ${to - 16} ${x} ${to}`);
      px = x;
      py = to;
    };
    const over = [];
    let open = null;
    // The chain that this one waits for. What is asked of this one stands before it: there it goes on.
    const beside = () => {
      const inner = open?.inner;
      if (!inner) return;
      open.inner = null;
      if (drawn.has(inner)) return;
      const item = list.lastChild;
      if (depth + 1 < DEEP) {
        open.drew = true;
        const { x } = open, from = laneX(depth + 1, "c"), yHead = y + 16;
        line("dbl", `M${x + 2} ${yHead - 1.5}H${from - 20}M${x + 2} ${yHead + 1.5}H${from - 20}`);
        line("stub", `M${from - 24} ${yHead - 4}l6 4l-6 4`);
        const sub = chainList(inner, depth + 1);
        open.last = sub.last;
        item.append(sub.head, sub.list);
        open.end = y;
      } else {
        item.append(button({ class: "row gap", style: `padding-left:${textX(depth)}px`, onclick: () => select(inner) }, span("t", `${title(inner)}: look at it by itself`)));
        y += ROW;
      }
    };
    rows.forEach((row) => {
      if (row.mark !== "ask") beside();
      const mid = y + ROW / 2;
      const lane = row.lane, x = laneX(depth, lane);
      const left = textX(open?.drew && row.mark === "resume" ? depth + 1 : depth);
      const item = h("li"), here = row.ev.includes(i);
      const letters = PARENTS.filter((l) => row.ev.includes(links[l]));
      item.append(
        button({
          class: `row ${row.mark} ${lane}${here ? " here" : ""} ${letters.join(" ")}`, style: `padding-left:${left}px`,
          "data-key": `${id}/${row.mark}/${row.ev[0] ?? row.n ?? ""}`, "aria-current": here ? "step" : null,
          title: `${row.text} ${row.note}`.trim(), onclick: row.ev.length ? () => jump(row.ev[0]) : null,
        },
        span("vh", `${MARK_WORDS[row.mark] ?? ""}${row.n !== undefined ? ` ${row.n}` : ""} ${row.mark === "step" ? `(${laneWord(row.lane)} lane)` : ""}`),
        letters.map(letter),
        span("t", row.text), span("n", row.note),
        row.ev.length ? h("span", { class: "s", "aria-hidden": "true", text: `s${T.ev[row.ev[0]].s}` }) : null),
      );
      list.append(item);
      y += ROW;
      switch (row.mark) {
        case "value":
          go(x, mid, lane);
          over.push(["tok", lane, x, mid]);
          break;
        case "step": {
          go(x, mid, lane);
          const s = stepsOf(id).get(row.n);
          over.push(["node", lane, x, mid, row.running, row.n]);
          if (!task && s?.c && s?.e) over.push(["other", lane === "c" ? "e" : "c", laneX(depth, lane === "c" ? "e" : "c"), mid]);
          break;
        }
        case "pass":
          go(x, mid, lane);
          over.push(["pass", lane, x, mid, row.n]);
          break;
        case "todo":
          if (row.c) over.push(["todo", "c", xc, mid, row.n]);
          if (row.e) over.push(["todo", "e", xe, mid, row.n]);
          break;
        case "unfired":
          put(dot("node todo", xc, mid, 5));
          break;
        case "pause": {
          go(x, mid, lane);
          open = { x, y: mid, lane, drew: false, inner: row.inner };
          over.push(["stop", lane, x, mid]);
          break;
        }
        case "resume":
          if (open) {
            line("dbl", `M${open.x - 2} ${open.y + 6}V${mid}M${open.x + 2} ${open.y + 6}V${mid}`);
            if (open.drew && open.last) {
              line(`go ${lane}`, `M${open.last.x} ${open.last.y}V${mid}H${x + 12}M${x + 15} ${mid - 4}l-6 4l6 4`);
            }
            if (lane !== open.lane) line("dbl", `M${open.x - 2} ${mid}Q${open.x - 2} ${mid + 5} ${x - 6} ${mid + 1.5}M${open.x + 2} ${mid}Q${open.x + 4} ${mid + 2} ${x - 6} ${mid - 1.5}`);
          } else if (py) go(x, mid, lane);
          open = null;
          px = x;
          py = mid;
          over.push(["tok", lane, x, mid]);
          break;
        case "rest":
        case "lost":
          go(xe, mid, "e");
          over.push([row.mark, "e", xe, mid]);
          break;
        case "ask":
          line("stub", `M${x - 14} ${mid}h8m-3 -3l3 3l-3 3`);
          break;
        case "swallow":
          line("stub", `M${x - 16} ${mid}h10m-3 -3l3 3l-3 3M${x - 3} ${mid - 6}v12`);
          break;
        case "group": {
          const members = row.members.slice(0, 40);
          const ol = h("ol", { "aria-label": "Its members" });
          for (const [k, m] of members.entries()) {
            const my = y + ROW / 2, st = statusAt(i, m);
            ol.append(h("li", {}, button({ class: "row member", "data-key": `${id}/member/${m}`, style: `padding-left:${textX(depth) + 22}px`, onclick: () => select(m) }, span("t", `${k} ${title(m)}`), span("n", statusWords(m, i)))));
            line("stub", `M${xe} ${my}h${22}`);
            over.push(["member", failed(lastValue(m, i)) ? "e" : "c", xe + 28, my, LIVE.has(st)]);
            y += ROW;
          }
          line("stub", `M${xe} ${mid}V${y}C${xe} ${y + 8} ${xc} ${y} ${xc} ${y + 12}`);
          item.append(ol);
          if (row.members.length > 40) {
            item.append(h("div", { class: "row gap", style: `padding-left:${textX(depth) + 22}px`, text: `and ${row.members.length - 40} more` }));
            y += ROW;
          }
          break;
        }
        case "gap":
          py = py ? mid : 0;
          break;
      }
    });
    beside();
    if (open) {
      const end = (open.end ?? open.y + ROW) - 6;
      line("dbl", `M${open.x - 2} ${open.y + 6}V${end}M${open.x + 2} ${open.y + 6}V${end}`);
    }
    const lane = (x) => lanes.append(path("dash", `M${x} ${startY}V${y - 4}`));
    if (rows.length && !task) lane(xe);
    if (rows.length) lane(xc);
    if (!rows.length) {
      list.append(h("li", { class: "row gap", style: `padding-left:${textX(depth)}px`, text: chain.known ? "nothing yet" : "not made yet" }));
      y += ROW;
    }
    // Where the value is now: at its row, or where it last passed by.
    const now = over.findLast(([what]) => /tok|node|pass|stop|rest|lost/.test(what));
    if (now?.[0] === "tok" && id[0] === "d" && !chain.over) now[6] = true;
    if (now?.[0] === "pass") over.push(["tok", now[1], now[2], now[3], false, false, true]);
    for (const [what, lane, x, my, a, b, big] of over) mark(what, lane, x, my, a, b, big);
    const [, , x, tokenY] = over.findLast(([what]) => what === "tok") ?? [];
    return { head, list, last: x && { x, y: tokenY + 6 } };
  }

  function mark(what, lane, x, my, a, b, big) {
    const number = (cls, dx, n) => word(`num_ ${cls}`, x + dx, my + 4, n);
    const numbered = (cls, n) => {
      const half = Math.max(10, String(n).length * 3.5 + 4);
      put(box(`node ${cls}`, x - half, my - 9, 2 * half, 18, lane === "e" ? 1 : 6));
    };
    switch (what) {
      case "tok":
      case "member":
        if (lane === "e") put(path("tok e", diamond(x, my, big ? 7 : 5)));
        else put(dot(a && what === "member" ? "node todo" : "tok c", x, my, big ? 6 : 4));
        if (big) put(dot("halo", x, my, 10.5));
        break;
      case "node":
        numbered(`${lane}${a ? " on" : ""}`, b);
        number(a ? "on" : lane, 0, b);
        break;
      case "other":
        put(box("node todo", x - 7, my - 6, 14, 12, 3));
        break;
      case "pass":
        put(path(`go ${lane}`, `M${x - 5} ${my}h10`));
        // Between the lanes, where nothing else is.
        number("soft", lane === "e" ? -16 : 16, a);
        break;
      case "todo":
        numbered("todo", a);
        number("soft", 0, a);
        break;
      case "stop":
        put(box("node stop", x - 6, my - 7, 12, 14, 3), path("dbl", `M${x - 2} ${my - 4}v8M${x + 2} ${my - 4}v8`));
        break;
      case "rest":
        put(dot("rest", x, my, 9));
        word("bang", x, my + 4, "!");
        break;
      case "lost":
        put(path("lost", `M${x - 6} ${my - 6}l12 12M${x + 6} ${my - 6}l-12 12`));
        break;
    }
  }

  const { head, list } = chainList(id, 0);
  marks.setAttribute("width", "100%");
  marks.setAttribute("height", y);
  return { box: h("section", { class: "rail", "aria-label": `Rail of ${title(id)}`, "data-rail": id }, marks, head, list), drawn };
}

function drawRails(i) {
  const box = $("rails"), chips = $("chips"), links = parents(i);
  const shown = shownRails(i), all = view.all;
  const kids = [], drawn = new Set();
  const draw = (id) => {
    const rail = drawRail(id, i, links);
    for (const other of rail.drawn) drawn.add(other);
    kids.push(rail.box);
  };
  if (all) kids.push(tiles(i));
  if (view.parts) kids.push(drawParts(i));
  for (const id of view.parts ? [] : shown.slice(0, 12)) if (!drawn.has(id)) draw(id);
  // What the event is about is always in the picture.
  const focus = T.focus[i];
  if (!view.parts && !view.sel.length && focus && !drawn.has(focus)) draw(focus);
  if (!kids.length) kids.push(h("p", { class: "empty" }, T.first
    ? ["No Deferred and no task yet. The first is ", goto(title(T.first), "first", () => jump(object(T.first).ev[0])), "."]
    : "No Deferred and no task in this trace."));
  view.drawn = drawn;
  box.replaceChildren(...kids);
  const chip = (text, on, key, onclick, title) => button({ "aria-pressed": String(!!on), "data-key": key, onclick, title, text });
  chips.replaceChildren();
  fill(chips, {}, [
    P.parts.length > 0 && chip("side by side", view.parts, "parts", () => {
      view.parts = !view.parts;
      choose();
    }, "The parts of this run, over one axis of time (v)"),
    chip("follow", !view.sel.length && !view.parts, "follow", () => select(null), "Show what the event is about"),
    ...[...new Set([...view.sel, ...drawn])].slice(0, 6).map((id) => chip(title(id), view.sel.includes(id), id, (event) => select(id, event.ctrlKey || event.metaKey || event.shiftKey), "Keep this one (Shift: beside the others)")),
    T.rails.length > 0 && chip(`${all ? "−" : "+"} all ${T.rails.length}`, all, "all", () => {
      view.all = !view.all;
      view.page = null;
      redraw();
    }, "Small rails of all Deferreds and tasks"),
  ]);
  const here = box.querySelector(".row.here, td .here") || box.querySelector("td.at");
  // Into the middle, if it is not in sight.
  if (here) later.push(() => {
    const a = box.getBoundingClientRect(), b = here.getBoundingClientRect();
    if (b.top < a.top + 4 || b.bottom > a.bottom - 4) box.scrollTop += b.top - a.top - (a.height - b.height) / 2;
  });
}

function tiles(i) {
  const focus = T.rails.findIndex((o) => o.id === (view.sel[0] || T.focus[i]));
  const page = view.page ?? Math.max(0, Math.floor(focus / PER_PAGE));
  const pages = Math.ceil(T.rails.length / PER_PAGE);
  const box = h("div", { class: "tiles" });
  for (const o of T.rails.slice(page * PER_PAGE, (page + 1) * PER_PAGE)) {
    box.append(button({ class: `tile${o.made > i ? " dim" : ""}`, "aria-pressed": String(view.sel.includes(o.id)), "data-key": `tile/${o.id}`, onclick: (event) => select(o.id, event.shiftKey) },
      h("span", { text: title(o.id) }), sparkline(o.id, i), span("n", statusWords(o.id, i))));
  }
  const turn = (by) => () => {
    view.page = page + by;
    redraw();
  };
  return h("div", {}, box, pages > 1 ? h("div", { class: "more" },
    button({ disabled: page === 0, onclick: turn(-1), text: "Previous" }), `${page + 1} of ${pages}`,
    button({ disabled: page + 1 >= pages, onclick: turn(1), text: "Next" })) : null);
}

/** A chain as a small line from left to right. */
function sparkline(id, i) {
  const picture = drawing("track", { viewBox: "0 0 180 26", preserveAspectRatio: "xMinYMid meet" });
  const rows = chainRows(id, i).rows.slice(-14);
  const step = Math.min(22, 170 / Math.max(rows.length, 1));
  const put = (...kids) => picture.append(...kids);
  let x = 8, py = 0;
  for (const { mark, lane } of rows) {
    const y = lane === "e" ? 20 : 7, open = mark === "todo" || mark === "unfired";
    if (py) put(path(open ? "dash" : mark === "resume" ? "dbl" : `go ${lane}`, `M${x - step} ${py}L${x} ${open ? py : y}`));
    if (open) put(dot("node todo", x, py || y, 3));
    else if (mark === "rest") put(dot("rest", x, y, 5));
    else if (mark === "lost") put(path("lost", `M${x - 4} ${y - 4}l8 8M${x + 4} ${y - 4}l-8 8`));
    else if (mark === "pause") put(path("dbl", `M${x - 2} ${y - 5}v10M${x + 2} ${y - 5}v10`));
    else if (mark === "step") put(box(`node ${lane}`, x - 4, y - 4, 8, 8, 2));
    else if (lane === "e" && mark === "value") put(path("tok e", diamond(x, y, 4)));
    else if (mark !== "pass") put(dot(`tok ${lane}`, x, y, 3));
    py = open ? py || y : y;
    x += step;
  }
  return picture;
}
