import { describe, expect, it } from "vitest";
import { ar } from "./ar";
import { de } from "./de";
import { en } from "./en";
import { LANGUAGES, negotiate } from "./language";
import { pieces, type Catalogue, type Key, type Template } from "./template";

const catalogues: Record<(typeof LANGUAGES)[number], Catalogue> = { en, de, ar };
const keys = Object.keys(en) as Key[];
const placeholders = (sentence: string) => pieces(sentence).flatMap((piece) => ("placeholder" in piece ? [piece.placeholder] : [])).sort();
const main = (template: Template) => (typeof template === "string" ? template : template.other);

describe.each(LANGUAGES)("the catalogue of %s", (language) => {
  const catalogue = catalogues[language];

  it("has every sentence and no other", () => {
    expect(Object.keys(catalogue).sort()).toEqual([...keys].sort());
  });

  it("has the placeholders of the English one in each sentence", () => {
    for (const key of keys) expect(placeholders(main(catalogue[key])), key).toEqual(placeholders(main(en[key])));
  });

  it("has each form of the language where there are forms, with no placeholder that is not given", () => {
    const forms = [...new Intl.PluralRules(language).resolvedOptions().pluralCategories].sort();
    for (const key of keys) {
      const template = catalogue[key];
      expect(typeof template, key).toBe(typeof en[key]);
      if (typeof template === "string") continue;
      expect(Object.keys(template).sort(), key).toEqual(forms);
      const given = new Set(placeholders(main(en[key])));
      for (const form of Object.values(template)) for (const name of placeholders(form)) expect(given, `${key}: ${form}`).toContain(name);
    }
  });

  it("has no empty sentence, and none with a space too many at its end or inside", () => {
    for (const key of keys) {
      const template: Template = catalogue[key];
      for (const form of typeof template === "string" ? [template] : Object.values(template)) {
        expect(form.trim(), key).not.toBe("");
        expect(form, key).not.toMatch(/ {2}| $|\{ | \}/u);
      }
    }
  });
});

it("no sentence was left in English by mistake", () => {
  // The same word in both languages, or no word at all.
  const same = new Set<Key>(["app.name", "app.titleUnread", "common.details", "common.problem", "person.system", "person.online", "list.title", "list.by", "message.said", "role.admin", "emoji.symbols", "notify.inGroup"]);
  for (const key of keys) if (!same.has(key)) expect(de[key], key).not.toEqual(en[key]);
  for (const key of keys) if (/[a-z]/iu.test(main(en[key]).replaceAll(/\{\w+\}/gu, ""))) expect(main(ar[key]), key).toMatch(/\p{Script=Arabic}/u);
});

it.each([
  [["de-AT", "en"], "de"],
  [["fr", "ar-EG"], "ar"],
  [["EN-gb"], "en"],
  [["fr", "ja"], "en"],
  [[], "en"],
])("%j is answered in %s", (wanted, language) => {
  expect(negotiate(wanted)).toBe(language);
});
