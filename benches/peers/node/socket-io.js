// A chat's least server on Socket.IO, as its users write one: a room per group and one per user,
// acknowledgements are Socket.IO's own. It stores nothing.
//   node socket-io.js PORT [REDIS_URL]
//
// For speed, what Socket.IO's page on performance tuning advises and its users do: WebSocket only
// (no long polling before it), compression off, `bufferutil` for unmasking, the first HTTP request
// of a connection is forgotten. With Redis 7 the adapter is the one on sharded Pub/Sub, in its
// default mode: a channel per room, to which only the nodes subscribe that have somebody there.
//
// What a client emits, each acknowledged without arguments when the message has been handed to the
// adapter: `join` (group), `group` (group, body), `user` (user, body). What it is sent: `message`
// (group or user, from, body).
import { createServer } from "node:http";
import { createShardedAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";
import { userOf } from "./token.js";

const [port, redisUrl] = process.argv.slice(2);
const server = createServer();
const io = new Server(server, {
  transports: ["websocket"],
  perMessageDeflate: false,
  httpCompression: false,
  serveClient: false,
  ...(redisUrl && { adapter: createShardedAdapter(await connect(), await connect()) }),
});

async function connect() {
  const client = createClient({ url: redisUrl });
  client.on("error", (error) => console.error(error));
  return client.connect();
}

io.engine.on("connection", (connection) => {
  connection.request = null;
});
io.use((socket, next) => {
  socket.data.user = userOf(socket.handshake.auth.token);
  next(socket.data.user ? undefined : new Error("unauthorized"));
});
io.on("connection", (socket) => {
  const { user } = socket.data;
  socket.join(`user:${user}`);
  socket.on("join", async (group, done) => {
    await socket.join(`group:${group}`);
    done();
  });
  socket.on("group", (group, body, done) => {
    socket.to(`group:${group}`).emit("message", group, user, body);
    done();
  });
  socket.on("user", (to, body, done) => {
    socket.to(`user:${to}`).emit("message", to, user, body);
    done();
  });
});
// A storm of connections is what is measured; the default of 511 is too short for it.
server.listen({ port: Number(port), host: "127.0.0.1", backlog: 65535 }, () => console.log(`ready on ${port}`));
