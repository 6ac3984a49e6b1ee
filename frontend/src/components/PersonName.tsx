// A name from an id. Isolated, so that a right-to-left name cannot turn the sentence around it.
import { useProfile } from "../hooks/useProfile";
import type { UserId } from "../model/types";

/** Shown for the moment until the server has told the name. */
export const UNKNOWN_NAME = "Someone";

export function PersonName({ user }: { user: UserId }) {
  return <bdi>{useProfile(user)?.displayName ?? UNKNOWN_NAME}</bdi>;
}
