// npm's `ws` as a peer.
//
//   node node.mjs client URL deflate|plain
//   node node.mjs server deflate|plain
//   node node.mjs goodbye URL
//
// What it says, and how the server asks for answers: see python.py.

import WebSocket, { WebSocketServer } from "ws";

const LARGE = Buffer.from(Array.from({ length: 70144 }, (_, i) => i % 256));
const MESSAGES = [
  ["a text", "wie geht's, 你好 🧵"],
  ["an empty text", ""],
  ["70,144 bytes", LARGE],
  ["no bytes", Buffer.alloc(0)],
  ["a text that gets small", "If I were a rope, ".repeat(5000)],
];
const said = (name, good, why = "") => console.log(good ? `ok ${name}` : `FAILED ${name}: ${why}`);

/** The next of these events, with what it says. */
const next = (socket, event) =>
  new Promise((resolve, reject) => {
    socket.once(event, (...values) => resolve(values));
    socket.once("error", reject);
    setTimeout(() => reject(new Error(`no ${event} came`)), 20_000).unref();
  });

async function talk(socket, deflate, code, reason) {
  said("the extension", socket.extensions === (deflate ? "permessage-deflate" : ""), socket.extensions);
  const comesBack = async (name, sent, send) => {
    const answer = next(socket, "message");
    send();
    const [data, binary] = await answer;
    said(name, binary === Buffer.isBuffer(sent) && Buffer.from(sent).equals(data), `${data.length} bytes came back`);
  };
  for (const [name, message] of MESSAGES) await comesBack(name, message, () => socket.send(message));
  await comesBack("fragments", "fragments", () => {
    for (const [part, fin] of [["frag", false], ["", false], ["ments", true]]) socket.send(part, { fin, binary: false });
  });
  const pong = next(socket, "pong");
  socket.ping("are you there");
  said("a pong", String((await pong)[0]) === "are you there", "with other bytes");
  const closed = next(socket, "close");
  socket.close(code, reason);
  const [got] = await closed;
  said("the close", got === code, got);
}

/** What `ws_server` does, or `ws_client` at `/`. */
async function goodbye(socket, wanted) {
  const closed = next(socket, "close");
  const [first] = await next(socket, "message");
  said(wanted === "hello" ? "a greeting" : "an answer", String(first) === wanted, first);
  socket.send("close");
  const [code, reason] = await closed;
  said("a close with its reason", code === 1000 && String(reason) === "as you said", `${code} ${reason}`);
}

const [role, ...rest] = process.argv.slice(2);
const deflate = rest.at(-1) === "deflate";
const failed = (error) => {
  said("all of it", false, error);
  process.exit(0);
};
if (role === "client") {
  const socket = new WebSocket(rest[0], { perMessageDeflate: deflate });
  next(socket, "open").then(() => talk(socket, deflate, 1000, "bye")).catch(failed);
} else if (role === "goodbye") {
  const socket = new WebSocket(rest[0]);
  socket.once("open", () => socket.send("hello"));
  goodbye(socket, "hello/answer").catch(failed);
} else {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: deflate && { threshold: 0 } });
  server.on("listening", () => console.log(`ready ${server.address().port}`));
  server.on("connection", (socket, request) => {
    if (request.url.startsWith("/runCase")) return talk(socket, deflate, 4001, "case over").catch(failed);
    if (request.url === "/") return goodbye(socket, "hello").catch(failed);
    if (request.url.startsWith("/getCaseCount")) socket.send("1");
    socket.close();
  });
  process.on("SIGTERM", () => process.exit(0));
}
