import { expect, it } from "vitest";
import { match } from "./match";

it("prefers the beginning of the name, then of a word, then the middle, and last a guess", () => {
  const scores = ["Carola", "Ana Caro", "Oscar", "Alice Ahlberg"].map((name) => match(name, "car"));
  expect(scores).toEqual([3, 2, 1, 0]);
  expect(match("Bob", "car")).toBeNull();
});

it("asks for no letter that is not on the keyboard", () => {
  expect(match("Carol Núñez", "nun")).toBe(2);
  expect(match("Carol Nunez", "ñ")).not.toBeNull();
});
