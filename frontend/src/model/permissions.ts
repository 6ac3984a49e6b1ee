// Who may do what. Pure; the server has the last word, this keeps the buttons honest.
import { ROLES, type ConversationKind, type Role } from "../protocol";
import type { TimelineMessage } from "./types";

/** What somebody is in a conversation. */
export interface Standing {
  kind: ConversationKind;
  role: Role;
}

export interface Permissions {
  reply: boolean;
  react: boolean;
  edit: boolean;
  delete: boolean;
  pin: boolean;
}

const rank = (role: Role): number => ROLES.indexOf(role);

export const mayWrite = ({ role }: Standing): boolean => rank(role) >= rank("member");

/** Adds people, pins, changes the name and the topic. */
export const mayManage = ({ kind, role }: Standing): boolean => kind !== "direct" && rank(role) >= rank("admin");

/** Owners decide on everybody, others on those below them. */
const outranks = (role: Role, other: Role): boolean => role === "owner" || rank(role) > rank(other);

export const mayDecideOn = (standing: Standing, other: Role): boolean => mayManage(standing) && outranks(standing.role, other);

/** The roles that may be given to somebody who has this one, highest first. */
export const rolesToGive = (standing: Standing, other: Role): Role[] =>
  mayDecideOn(standing, other) ? ROLES.filter((role) => role !== other && outranks(standing.role, role)).reverse() : [];

/** Those whom one asks come first. */
export const byRank = (a: { role: Role }, b: { role: Role }): number => rank(b.role) - rank(a.role);

export function permissions(
  { seq, mine, deleted }: Pick<TimelineMessage, "seq" | "mine" | "deleted">,
  standing: Standing,
): Permissions {
  const there = seq !== null && !deleted && mayWrite(standing);
  const manages = mayManage(standing);
  return {
    reply: there,
    react: there,
    edit: there && mine,
    delete: there && (mine || manages),
    pin: there && (standing.kind === "direct" || manages),
  };
}
