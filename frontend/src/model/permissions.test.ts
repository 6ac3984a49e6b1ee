import { describe, expect, it } from "vitest";
import { ROLES, type Role } from "../protocol";
import { byRank, mayDecideOn, mayManage, mayWrite, permissions, rolesToGive } from "./permissions";

const group = (role: Role) => ({ kind: "group", role }) as const;

describe("what one may do in a group or channel", () => {
  it("is more with each role", () => {
    expect(ROLES.filter((role) => mayWrite(group(role)))).toEqual(["member", "admin", "owner"]);
    expect(ROLES.filter((role) => mayManage(group(role)))).toEqual(["admin", "owner"]);
    expect(mayManage({ kind: "direct", role: "owner" })).toBe(false);
  });

  it("takes a higher role to decide on somebody, or that of an owner", () => {
    const decide = (role: Role) => ROLES.filter((other) => mayDecideOn(group(role), other));
    expect(decide("owner")).toEqual([...ROLES]);
    expect(decide("admin")).toEqual(["reader", "member"]);
    expect(decide("member")).toEqual([]);
    expect(decide("reader")).toEqual([]);
  });

  it("gives roles below one's own, the highest first", () => {
    expect(rolesToGive(group("owner"), "member")).toEqual(["owner", "admin", "reader"]);
    expect(rolesToGive(group("owner"), "owner")).toEqual(["admin", "member", "reader"]);
    expect(rolesToGive(group("admin"), "reader")).toEqual(["member"]);
    expect(rolesToGive(group("admin"), "admin")).toEqual([]);
    expect(rolesToGive(group("member"), "reader")).toEqual([]);
  });

  it("is to read, for a reader", () => {
    const message = { seq: 1, mine: true, deleted: false };
    expect(Object.values(permissions(message, { kind: "channel", role: "reader" }))).toEqual([false, false, false, false, false]);
  });

  it("lists those first whom one asks", () => {
    const roles: { role: Role }[] = [{ role: "reader" }, { role: "owner" }, { role: "member" }, { role: "admin" }];
    expect(roles.sort(byRank).map(({ role }) => role)).toEqual(["owner", "admin", "member", "reader"]);
  });
});
