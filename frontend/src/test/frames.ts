// The examples of PROTOCOL.md, one frame a line, so that the document and this client cannot part ways.
import { readFileSync } from "node:fs";
import { clientKey, conversationId, fileId, userId, type ClientFrame } from "../protocol";
import { isObject } from "../shape";

export type Block = "client" | "server" | "rest";

const document = readFileSync(new URL("../../../chat-sdk/PROTOCOL.md", import.meta.url), "utf8");

export function examples(block: Block): string[] {
  const lines: string[] = [];
  for (const fence of document.matchAll(/^```json (\S+)\n([\s\S]*?)^```$/gm)) {
    if (fence[1] === block) lines.push(...(fence[2] ?? "").split("\n").filter((line) => line !== ""));
  }
  return lines;
}

/** What each change of a message takes beside the message. */
const AMENDMENTS = new Map([["edit", ["text"]], ["delete", []], ["react", ["emoji", "on"]], ["pin", ["on"]]]);

/** What a server makes of a client's frame: strict where the protocol is, so that tests notice a bad one. */
export function decodeClient(source: string): ClientFrame {
  const value: unknown = JSON.parse(source);
  if (!isObject(value)) throw new Error(`not a frame: ${source}`);
  const fail = (field: string): never => {
    throw new Error(`bad ${field} in ${source}`);
  };
  const only = (...fields: string[]): void => {
    for (const field of Object.keys(value)) if (field !== "type" && !fields.includes(field)) fail(field);
  };
  const conversation = () => conversationId(value.conversation) ?? fail("conversation");
  const optional = (field: string, type: "number" | "string" | "object"): void => {
    if (value[field] !== undefined && typeof value[field] !== type) fail(field);
  };
  optional("id", "string");
  switch (value.type) {
    case "hello":
      only("version", "token", "resume");
      if (value.version !== 1) fail("version");
      optional("token", "string");
      optional("resume", "object");
      break;
    case "send":
      only("id", "key", "to", "conversation", "text", "reply_to", "files");
      if (value.files !== undefined && (!Array.isArray(value.files) || value.files.some((id) => fileId(id) === null))) fail("files");
      optional("reply_to", "number");
      if (clientKey(value.key) === null) fail("key");
      if (typeof value.text !== "string" || (value.text.trim() === "" && value.files === undefined)) fail("text");
      if ((value.to === undefined) === (value.conversation === undefined)) fail("to");
      if (value.to === undefined) conversation();
      else if (userId(value.to) === null) fail("to");
      break;
    case "edit":
    case "delete":
    case "react":
    case "pin":
      only("id", "key", "conversation", "message", ...(AMENDMENTS.get(value.type) ?? []));
      conversation();
      optional("key", "string");
      if (typeof value.message !== "number") fail("message");
      for (const field of AMENDMENTS.get(value.type) ?? []) {
        if (typeof value[field] !== (field === "on" ? "boolean" : "string")) fail(field);
      }
      break;
    case "mark":
      only("id", "conversation", "received", "read");
      conversation();
      optional("received", "number");
      optional("read", "number");
      break;
    case "typing":
      only("id", "conversation", "on");
      conversation();
      if (typeof value.on !== "boolean") fail("on");
      break;
    case "watch":
      only("id", "users");
      if (!Array.isArray(value.users) || value.users.some((user) => userId(user) === null)) fail("users");
      break;
    case "sync":
      only("id", "conversation", "after");
      conversation();
      if (typeof value.after !== "number") fail("after");
      break;
    case "ping":
      only("positions");
      optional("positions", "object");
      break;
    case "auth":
      only("id", "token");
      if (typeof value.token !== "string") fail("token");
      break;
    default:
      fail("type");
  }
  return value as unknown as ClientFrame;
}
