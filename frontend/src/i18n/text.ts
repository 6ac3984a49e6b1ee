// The sentences of the screen: `t` as a string, `rich` with elements in it. To be asked while rendering (or when
// something happens), never kept: the language may be another one the next time.
import { createElement, Fragment, type ReactNode } from "react";
import { number } from "../format";
import { direction, speech } from "./language";
import { chooseForm, pieces, type Arguments, type Key } from "./template";

type Values = Readonly<Record<string, unknown>> | undefined;

function sentence(key: Key, values: Values): string {
  const { catalogue, plurals } = speech();
  return chooseForm(catalogue[key], plurals, values?.["count"]);
}

/** A name in another script must not turn the sentence around it. */
const isolated = (value: string): string => (direction(speech().language) === "rtl" ? `\u2068${value}\u2069` : value);

export function t<K extends Key>(key: K, ...[values]: Arguments<K, string | number>): string {
  const given: Values = values;
  return pieces(sentence(key, given))
    .map((piece) => {
      if ("words" in piece) return piece.words;
      const value = given?.[piece.placeholder];
      return typeof value === "number" ? number(value) : isolated(String(value ?? ""));
    })
    .join("");
}

export function rich<K extends Key>(key: K, ...[values]: Arguments<K, ReactNode>): ReactNode {
  const given: Readonly<Record<string, ReactNode>> | undefined = values;
  return pieces(sentence(key, given)).map((piece, index) => {
    if ("words" in piece) return piece.words;
    const value = given?.[piece.placeholder];
    return createElement(Fragment, { key: index }, typeof value === "number" ? number(value) : value);
  });
}
