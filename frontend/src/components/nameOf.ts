// What somebody is called, also for the moment until the server has told, and after they are gone.
import { t } from "../i18n/text";
import type { Profile } from "../model/types";

export function nameOf(profile: Profile | null): string {
  return profile === null || profile.displayName === "" ? t("person.unknown") : profile.displayName;
}
