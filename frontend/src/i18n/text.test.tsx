import { render, screen } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { problemWords } from "../components/problemWords";
import { beginSpeaking, LANGUAGE_STORAGE, languageChoice, setLanguage, speech, useLanguage } from "./language";
import { rich, t } from "./text";

beforeEach(() => localStorage.clear());
afterEach(() => setLanguage("en"));

describe("a sentence", () => {
  it("is chosen by number, and its numbers are those of the language", async () => {
    expect([0, 1, 2].map((count) => t("list.members", { count }))).toEqual(["0 members", "1 member", "2 members"]);
    await setLanguage("de");
    expect(t("list.members", { count: 12_345 })).toBe("12.345 Mitglieder");
    await setLanguage("ar");
    const number = new Intl.NumberFormat("ar");
    expect([0, 1, 2, 3, 11, 100].map((count) => t("list.members", { count }))).toEqual([
      "لا أعضاء", "عضو واحد", "عضوان", `${number.format(3)} أعضاء`, `${number.format(11)} عضوًا`, `${number.format(100)} عضو`,
    ]);
  });

  it("keeps a name of another script from turning it around", async () => {
    expect(t("composer.to", { name: "Bob" })).toBe("Message Bob");
    await setLanguage("ar");
    expect(t("composer.to", { name: "Bob" })).toBe("رسالة إلى \u2068Bob\u2069");
  });

  it("may have elements in it, where the language wants them", async () => {
    const Note = () => {
      useLanguage();
      return <p>{rich("note.title", { who: <b>Ann</b>, title: <i>Tent</i> })}</p>;
    };
    render(<Note />);
    expect(screen.getByRole("paragraph").innerHTML).toBe("<b>Ann</b> changed the name to “<i>Tent</i>”");
    await setLanguage("de");
    expect((await screen.findByText(/geändert/u)).innerHTML).toBe("<b>Ann</b> hat den Namen in „<i>Tent</i>“ geändert");
  });
});

describe("the language", () => {
  it("is on the page with its direction, is kept, and given back to the browser", async () => {
    await setLanguage("ar");
    expect(document.documentElement).toMatchObject({ lang: "ar", dir: "rtl" });
    expect(localStorage.getItem(LANGUAGE_STORAGE)).toBe("ar");
    await setLanguage("system");
    expect(document.documentElement).toMatchObject({ lang: "en", dir: "ltr" });
    expect(localStorage.getItem(LANGUAGE_STORAGE)).toBeNull();
    expect(languageChoice()).toBe("system");
  });

  it("follows another tab", async () => {
    await beginSpeaking();
    localStorage.setItem(LANGUAGE_STORAGE, "de");
    window.dispatchEvent(new StorageEvent("storage", { key: LANGUAGE_STORAGE, newValue: "de" }));
    await vi.waitFor(() => expect(speech().language).toBe("de"));
  });

  it("is the last one asked for, whichever comes first", async () => {
    await Promise.all([setLanguage("ar"), setLanguage("en")]);
    expect(speech().language).toBe("en");
  });
});

it("a problem has a sentence by its code, also one that nobody here has heard of", () => {
  expect(problemWords({ code: "rate_limited", retryAfterMs: 6_001 })).toBe("Too many requests. Try again in 7 seconds.");
  expect(problemWords({ code: "of_next_year", retryAfterMs: null })).toBe("This did not work. Try again later.");
});
