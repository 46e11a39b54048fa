// Parses and draws each *.mmd of a folder with Mermaid, in Chromium without a network. usage: node draw.mjs FOLDER
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { chromium } from "playwright-core";

const folder = process.argv[2];
const files = readdirSync(folder).filter((name) => name.endsWith(".mmd")).sort();
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
const page = await browser.newPage({ offline: true });
await page.setContent("<!doctype html><body></body>");
const mermaid = new URL("./node_modules/mermaid/dist/mermaid.min.js", import.meta.url);
await page.addScriptTag({ content: readFileSync(mermaid, "utf8") });
await page.evaluate(() => window.mermaid.initialize({ startOnLoad: false, securityLevel: "strict" }));

let passed = 0, failed = 0;
for (const [i, name] of files.entries()) {
  try {
    const svg = await page.evaluate(async ([id, text]) => {
      await window.mermaid.parse(text);
      const { svg } = await window.mermaid.render(id, text);
      document.body.innerHTML = svg;
      // A name stays a text: it makes no element of its own.
      if (document.querySelector("svg b, svg script, svg img")) throw new Error("a name became an element");
      return svg;
    }, [`diagram${i}`, readFileSync(`${folder}/${name}`, "utf8")]);
    writeFileSync(`${folder}/${name}.svg`, svg);
    await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
    passed += 1;
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${name}: ${String(error).slice(0, 500)}`);
  }
}
// Mermaid says no to what is none: else nothing was tested.
const refused = await page.evaluate(() => window.mermaid.parse("sequenceDiagram\n  a -> ->> b: x ; end").then(() => false, () => true));
if (!refused) failed += 1, console.log("FAILED: Mermaid takes anything");
if (!files.length) failed += 1, console.log("FAILED: no diagrams");
await browser.close();
console.log(`Mermaid: ${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
