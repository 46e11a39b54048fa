// Two windows of Chromium in the example `web_chat`: what one says, the other shows.
//
//   node chat.mjs PROGRAM [FOLDER FOR SCREENSHOTS]

import { spawn } from "node:child_process";
import { once } from "node:events";
import { chromium } from "playwright-core";

const [program, shots] = process.argv.slice(2);
const said = (name, good, why = "") => console.log(good ? `ok ${name}` : `FAILED ${name}: ${why}`);
const is = (name, expected, got) => said(name, expected === got, `${got} instead of ${expected}`);

let server;
async function serve(port) {
  server = spawn(program, [String(port)], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(server.stdout, "data");
  return Number(String(line).split(" ")[1]);
}
async function end() {
  server.kill();
  await once(server, "exit");
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  const port = await serve(0), noise = [];
  const open = async (settings = {}) => {
    const page = await (await browser.newContext({ viewport: { width: 1000, height: 700 }, ...settings })).newPage();
    page.setDefaultTimeout(15_000);
    page.on("console", (message) => noise.push(`console: ${message.text()}`));
    page.on("pageerror", (error) => noise.push(`error: ${error}`));
    page.on("dialog", (dialog) => noise.push(`dialog: ${dialog.message()}`) && dialog.dismiss());
    page.on("request", (request) => request.url() === `http://127.0.0.1:${port}/` || noise.push(`request: ${request.url()}`));
    await page.goto(`http://127.0.0.1:${port}/`);
    return page;
  };
  const lines = (page) => page.locator("#log li").allTextContents();
  const shows = (page, text) => page.locator("#log li", { hasText: text }).first().waitFor();
  const type = async (page, text) => {
    await page.keyboard.type(text);
    await page.keyboard.press("Enter");
  };

  // All by keyboard: the field that is wanted has the focus.
  const anna = await open(), ben = await open({ viewport: { width: 360, height: 640 }, colorScheme: "dark" });
  await type(anna, "Anna");
  await anna.getByText("Here: Anna", { exact: true }).waitFor();
  await type(anna, "Is anybody here?");
  await shows(anna, "Anna: Is anybody here?");
  await type(ben, "anna");
  await ben.getByText("Somebody here is called anna.").waitFor();
  await type(ben, "Ben");
  await shows(ben, "Anna: Is anybody here?");
  said("who comes later reads what was said, and cannot have a name that is taken", true);
  await anna.getByText("Here: Anna, Ben").waitFor();
  is("who comes is told of", true, (await lines(anna)).includes("Ben has come."));

  for (let n = 0; n < 5; n++) {
    await type(anna, `a${n}`);
    await shows(ben, `Anna: a${n}`);
    await type(ben, `b${n}`);
    await shows(anna, `Ben: b${n}`);
  }
  const talk = ["Anna: Is anybody here?", ...[0, 1, 2, 3, 4].flatMap((n) => [`Anna: a${n}`, `Ben: b${n}`])].join();
  for (const [name, page] of [["Anna", anna], ["Ben", ben]]) {
    await shows(page, "b4");
    is(`${name} sees all of it in order`, talk, (await lines(page)).filter((line) => line.includes(": ") || line.includes("?")).join());
  }
  const hostile = `<img src=x onerror=alert(1)><script>alert(2)</script>`;
  await type(ben, hostile);
  await shows(anna, "onerror");
  is("what looks like a page is a text", `Ben: ${hostile}`, (await lines(anna)).at(-1));
  is("and nothing else", 0, await anna.locator("#log img, #log script").count());
  await type(ben, "wie geht's, 你好 🧵");
  await shows(anna, "Ben: wie geht's, 你好 🧵");
  if (shots) {
    await anna.screenshot({ path: `${shots}/light-1000.png` });
    await ben.screenshot({ path: `${shots}/dark-360.png` });
  }

  // The server goes and comes back: so do the windows, by themselves.
  await end();
  await anna.locator("#state.lost").waitFor();
  is("it says that the connection is lost, and why", "not connected (the server has ended)", (await anna.textContent("#state")).split(":")[0]);
  await type(anna, "kept");
  is("a text that cannot be sent stays where it is", "kept", await anna.inputValue("#text"));
  if (shots) await anna.screenshot({ path: `${shots}/lost-1000.png` });
  await serve(port);
  for (const page of [anna, ben]) await page.getByText("Here: Anna, Ben").waitFor();
  await anna.keyboard.press("Enter");
  await shows(ben, "Anna: kept");
  said("both windows are back when the server is", true);
  is("what was said before the new start is still there", `${talk},Ben: ${hostile},Ben: wie geht's, 你好 🧵,Anna: kept`,
    (await lines(ben)).filter((line) => /^(Anna|Ben): /.test(line)).join());
  // A connection alone that breaks off: what is told again is shown once.
  await ben.evaluate(() => socket.close());
  await ben.locator("#state.lost").waitFor();
  await type(anna, "meanwhile");
  await shows(ben, "Anna: meanwhile");
  is("what is told again is shown once", "Anna: kept,Anna: meanwhile",
    (await lines(ben)).filter((line) => /^Anna: (kept|meanwhile)/.test(line)).join());

  await ben.context().close();
  await anna.getByText("Here: Anna", { exact: true }).waitFor();
  is("who goes is told of", true, (await lines(anna)).includes("Ben has left."));
  // That a server is away for a while is what a browser always tells.
  is("nothing else on the console, no other request", "", noise.filter((text) => !/ERR_CONNECTION_REFUSED/.test(text)).join("; "));
} catch (error) {
  said("all of it", false, error);
} finally {
  await browser.close();
  server?.kill();
}
