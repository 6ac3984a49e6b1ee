// Who may do what to a message. Pure; the server has the last word, this keeps the buttons honest.
import type { TimelineMessage } from "./types";

export interface Permissions {
  reply: boolean;
  react: boolean;
  edit: boolean;
  delete: boolean;
  pin: boolean;
}

export function permissions(
  { seq, mine, deleted }: Pick<TimelineMessage, "seq" | "mine" | "deleted">,
  { kind, role }: { kind: "direct" | "group"; role: "owner" | "member" },
): Permissions {
  const there = seq !== null && !deleted;
  const owner = kind === "group" && role === "owner";
  return {
    reply: there,
    react: there,
    edit: there && mine,
    delete: there && (mine || owner),
    pin: there && (kind === "direct" || owner),
  };
}
