// How a sentence of a catalogue becomes one on the screen: the form is chosen, the placeholders are filled.
// Pure: knows no language that is in use and no screen.
import type { en } from "./en";

/** A sentence, or its forms by number; `other` is the one that every language has. */
export type Template = string | ({ readonly other: string } & { readonly [form in Intl.LDMLPluralRule]?: string });

export type Key = keyof typeof en;
export type Catalogue = { readonly [key in Key]: Template };

type PlaceholdersOf<T extends string> = T extends `${string}{${infer Name}}${infer Rest}` ? Name | PlaceholdersOf<Rest> : never;
type Sentence<K extends Key> = (typeof en)[K] extends string ? (typeof en)[K] : (typeof en)[K] extends { readonly other: infer Other extends string } ? Other : never;

/** The names that a sentence asks for. */
export type Placeholder<K extends Key> = PlaceholdersOf<Sentence<K>>;
/** What has to be handed over with a key: nothing, or a value for each placeholder. */
export type Arguments<K extends Key, Value> = [Placeholder<K>] extends [never] ? [] : [values: { readonly [name in Placeholder<K>]: name extends "count" ? number : Value }];

/** A piece of a sentence: words, or the name of what stands there. */
export type Piece = { words: string } | { placeholder: string };

export function pieces(sentence: string): Piece[] {
  // With a group in the pattern every other piece is what the group found.
  return sentence
    .split(/\{(\w+)\}/u)
    .map((part, index): Piece => (index % 2 === 0 ? { words: part } : { placeholder: part }))
    .filter((piece) => !("words" in piece) || piece.words !== "");
}

export function chooseForm(template: Template, rules: Intl.PluralRules, count: unknown): string {
  if (typeof template === "string") return template;
  return typeof count === "number" ? (template[rules.select(count)] ?? template.other) : template.other;
}
