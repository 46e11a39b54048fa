// What the driver looks at in a page. The functions without an import run inside of the page.

/** What every panel shows now. Of the lists that only hold what is in sight: each row by its name. */
export function panels() {
  const plain = (e) => e.innerHTML.replace(/ tabindex="-?\d+"/g, "").replace(/ style="top: \d+px;"/g, "");
  const rows = (id) => Object.fromEntries([...document.querySelectorAll(`#${id} .rows > *`)].map((e) => [e.id || e.dataset.key, `${e.className} ${e.getAttribute("aria-selected")} ${plain(e)}`]));
  const out = { state: window.ropewalk.state(window.ropewalk.cursor()) };
  for (const id of ["where", "sentence", "strip", "rails", "chips", "now", "why", "lints", "output", "visits", "link"]) out[id] = plain(document.getElementById(id));
  out.slider = document.getElementById("slider").value + document.getElementById("slider").getAttribute("aria-valuetext");
  out.active = document.getElementById("events-list").getAttribute("aria-activedescendant");
  out.sees = String(!!document.getElementById(out.active));
  out.events = rows("events-list");
  out.source = rows("source");
  out.objects = rows("objects");
  return out;
}

/** The names of the panels in which two looks differ; rows that only one of them has do not count. */
export function same(a, b) {
  const differ = [];
  for (const [name, was] of Object.entries(a)) {
    const is = b[name];
    if (typeof was === "string") {
      if (was !== is) differ.push(`${name}: ${firstDifference(was, is)}`);
      continue;
    }
    for (const [row, text] of Object.entries(was)) if (row in is && is[row] !== text) differ.push(`${name} ${row}: ${firstDifference(text, is[row])}`);
  }
  if (a.sees !== "true" || b.sees !== "true") differ.push("the event is not in sight");
  return differ.join("; ");
}

function firstDifference(a, b) {
  let i = 0;
  while (i < a.length && a[i] === b[i]) i++;
  return `"${a.slice(Math.max(0, i - 30), i + 50)}" or "${b.slice(Math.max(0, i - 30), i + 50)}"`;
}

/** Texts whose contrast with what is behind them is below 4.5 (WCAG 2, 1.4.3). */
export function contrast() {
  const parse = (color) => {
    const m = /rgba?\(([\d.]+), ([\d.]+), ([\d.]+)(?:, ([\d.]+))?/.exec(color);
    return m ? [Number(m[1]), Number(m[2]), Number(m[3]), m[4] === undefined ? 1 : Number(m[4])] : null;
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c && c[3] > 0.5) return c;
    }
    return [255, 255, 255, 1];
  };
  const low = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || e.closest("script, style, noscript, .vh, [hidden], option, .skip") || !e.getClientRects().length) continue;
    const style = getComputedStyle(e);
    if (style.visibility !== "visible" || e.closest(":disabled")) continue;
    const inSvg = e instanceof SVGElement;
    // The number in a filled box stands on the box.
    const c = parse(inSvg ? style.fill : style.color);
    if (!c || (inSvg && e.classList.contains("on"))) continue;
    const a = light(c), b = light(ground(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.add(`${ratio.toFixed(2)} ${e.tagName.toLowerCase()}.${e.getAttribute("class") ?? ""} "${e.textContent.slice(0, 30)}"`);
  }
  return [...low];
}

/** Where the Tab key stops, once around. */
export async function tabStops(page) {
  await page.evaluate(() => document.activeElement?.blur());
  const stops = [];
  for (let k = 0; k < 80; k++) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluate(() => {
      const e = document.activeElement;
      if (!e || e === document.body) return "";
      const region = e.closest("[data-rove]");
      return region ? region.id || region.className : e.id || e.className || e.tagName;
    });
    if (!stop || stop === stops[0]) break;
    stops.push(stop);
  }
  return stops;
}
