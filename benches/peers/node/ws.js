// A chat's least server on `ws`, as its users write one: groups are sets of sockets, a message is
// made into bytes once and sent to every member with `send`. It stores nothing.
//   node ws.js PORT [REDIS_URL]
//
// For speed: compression is off (the default of `ws`), `bufferutil` unmasks natively as the
// documentation of `ws` advises, the list of clients that `ws` would keep is not needed, and a
// message is a Buffer, which spares `send` an encoding per socket. With Redis, a node delivers to
// its own sockets at once and the others hear of it on a channel per group or user, to which only
// the nodes subscribe that have somebody there.
//
// What a client sends, each a JSON text with an `id` of its choice:
//   {"id":"1","op":"join","to":"group:G"}   {"id":"2","op":"send","to":"group:G","body":"…"}
//   {"id":"3","op":"send","to":"user:U","body":"…"}
// What it is sent: {"ready":true} once, when messages for its user arrive; {"ok":"1"} when it is in
// the group, or the message has been handed to every socket of this node and Redis has taken it; and
// {"to":"group:G","from":"U","body":"…"}, unless it sent that itself.
import { createServer } from "node:http";
import { randomBytes } from "node:crypto";
import { createClient } from "redis";
import { WebSocketServer } from "ws";
import { userOf } from "./token.js";

const [port, redisUrl] = process.argv.slice(2);
/** The sockets by `group:…` and `user:…`. */
const members = new Map();
/** Before every message in Redis: a node does not deliver what it has delivered already. */
const node = randomBytes(8);
const [publisher, subscriber] = redisUrl ? await Promise.all([connect(), connect()]) : [];

async function connect() {
  const client = createClient({ url: redisUrl });
  client.on("error", (error) => console.error(error));
  return client.connect();
}

async function join(socket, to) {
  let sockets = members.get(to);
  if (!sockets) members.set(to, (sockets = new Set()));
  sockets.add(socket);
  socket.joined.add(to);
  // Redis answers in order: who comes second while the first still waits, waits as long.
  if (subscriber && !sockets.heard) {
    sockets.heard = subscriber.subscribe(to, (bytes) => {
      if (!bytes.subarray(0, node.length).equals(node)) deliver(to, bytes.subarray(node.length));
    }, true);
  }
  await sockets.heard;
}

function leave(socket) {
  for (const to of socket.joined) {
    const sockets = members.get(to);
    sockets.delete(socket);
    if (sockets.size > 0) continue;
    members.delete(to);
    subscriber?.unsubscribe(to);
  }
}

function deliver(to, bytes, except) {
  for (const socket of members.get(to) ?? []) if (socket !== except) socket.send(bytes, { binary: false });
}

async function handle(socket, text) {
  const { id, op, to, body } = JSON.parse(text);
  if (op === "join" && to.startsWith("group:")) {
    await join(socket, to);
  } else if (op === "send") {
    const bytes = Buffer.from(JSON.stringify({ to, from: socket.user, body }));
    deliver(to, bytes, socket);
    if (publisher) await publisher.publish(to, Buffer.concat([node, bytes]));
  } else {
    throw new Error("unknown request");
  }
  socket.send(JSON.stringify({ ok: id }));
}

const sockets = new WebSocketServer({ noServer: true, clientTracking: false, perMessageDeflate: false, maxPayload: 65536 });
const server = createServer((_, response) => response.writeHead(426).end());
server.on("upgrade", (request, stream, head) => {
  const user = userOf(new URL(request.url, "http://localhost").searchParams.get("token"));
  if (!user) return stream.end("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n");
  sockets.handleUpgrade(request, stream, head, (socket) => {
    socket.user = user;
    socket.joined = new Set();
    join(socket, `user:${user}`).then(() => socket.send('{"ready":true}'));
    socket.on("message", (text) => {
      handle(socket, text).catch(() => socket.close(1008));
    });
    socket.on("close", () => leave(socket));
    socket.on("error", () => socket.terminate());
  });
});
// A storm of connections is what is measured; the default of 511 is too short for it.
server.listen({ port: Number(port), host: "127.0.0.1", backlog: 65535 }, () => console.log(`ready on ${port}`));
