// A page in headless Chromium as a peer.
//
//   node browser.mjs URL_OF_ws_echo URL_OF_ws_server

import { chromium } from "playwright-core";

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  const page = await browser.newPage();
  page.on("console", (message) => console.log(message.text()));
  await page.evaluate(async ([url, server]) => {
    const said = (name, good, why = "") => console.log(good ? `ok ${name}` : `FAILED ${name}: ${why}`);
    let socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    const next = (event) =>
      new Promise((resolve, reject) => {
        socket.addEventListener(event, resolve, { once: true });
        socket.addEventListener("error", () => reject(new Error("an error")), { once: true });
        setTimeout(() => reject(new Error(`no ${event} came`)), 20_000);
      });
    try {
      await next("open");
      said("the extension", socket.extensions.startsWith("permessage-deflate"), socket.extensions);
      const large = Uint8Array.from({ length: 70_000 }, (_, i) => (i * i) >> 3);
      const messages = [["a text", "wie geht's, 你好 🧵"], ["an empty text", ""], ["a text that gets small", "If I were a rope, ".repeat(5000)]];
      for (const [name, message] of messages) {
        socket.send(message);
        const { data } = await next("message");
        said(name, data === message, `${String(data).slice(0, 40)} came back`);
      }
      socket.send(large);
      const { data } = await next("message");
      const back = new Uint8Array(data);
      said("70,000 bytes", back.length === large.length && back.every((byte, i) => byte === large[i]), `${back.length} bytes came back`);
      socket.close(3001, "bye");
      const { code, reason, wasClean } = await next("close");
      said("the close", code === 3001 && wasClean, `${code} ${reason} ${wasClean}`);
      socket = new WebSocket(server);
      await next("open");
      socket.send("hello");
      const answer = (await next("message")).data;
      said("an answer", answer === "hello/answer", answer);
      socket.send("close");
      const end = await next("close");
      said("a close with its reason", end.code === 1000 && end.reason === "as you said" && end.wasClean, `${end.code} ${end.reason}`);
    } catch (error) {
      said("all of it", false, error);
    }
  }, process.argv.slice(2));
} finally {
  await browser.close();
}
