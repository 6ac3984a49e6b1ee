import { expect, it } from "vitest";
import { room } from "./textLimits";

it("names the limit that is closer", () => {
  const limits = { bytes: 200, chars: 100 };
  expect(room("x".repeat(90), limits)).toEqual({ at: "scarce", used: 90, limit: 100, unit: "characters" });
  expect(room("€".repeat(60), limits)).toEqual({ at: "scarce", used: 180, limit: 200, unit: "bytes" });
  expect(room("€".repeat(67), limits)).toEqual({ at: "over", used: 201, limit: 200, unit: "bytes" });
  expect(room("x".repeat(100), limits).at).toBe("scarce");
  expect(room("x".repeat(101), limits).at).toBe("over");
  expect(room("", limits)).toEqual({ at: "plenty" });
});
