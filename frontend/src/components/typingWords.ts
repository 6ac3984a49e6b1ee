// Who types right now, in one line.
import * as format from "../format";
import { t } from "../i18n/text";

/** "Ann is typing…", "Ann and Bob are typing…", "Several people are typing…" */
export function typingWords(who: string[]): string {
  const [first] = who;
  if (first === undefined) return "";
  if (who.length === 1) return t("typing.one", { name: first });
  return who.length === 2 ? t("typing.two", { names: format.names(who) }) : t("typing.many");
}
