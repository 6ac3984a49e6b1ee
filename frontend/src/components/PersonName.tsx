// A name from an id. Isolated, so that a right-to-left name cannot turn the sentence around it.
import { useProfile } from "../hooks/useProfile";
import type { UserId } from "../model/types";
import { nameOf } from "./nameOf";

export function PersonName({ user }: { user: UserId }) {
  return <bdi>{nameOf(useProfile(user))}</bdi>;
}
