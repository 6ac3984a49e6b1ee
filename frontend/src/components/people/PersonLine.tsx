// Somebody in a list to choose from.
import type { ReactNode } from "react";
import { Avatar } from "../ui/Avatar";

interface PersonLineProps {
  seed: string;
  name: string;
  /** The handle, or what kind of conversation it is. */
  detail: string;
  /** After the name, not part of it. */
  suffix?: string;
  shape?: "person" | "group";
  online?: boolean;
  end?: ReactNode;
}

export function PersonLine({ seed, name, detail, suffix, shape = "person", online = false, end }: PersonLineProps) {
  return (
    <>
      <Avatar seed={seed} name={name} shape={shape} online={online} size="small" />
      <span className="min-w-0 flex-1">
        <span className="block truncate font-medium"><bdi>{name}</bdi>{suffix}</span>
        <span className="block truncate text-meta text-muted">{detail}</span>
      </span>
      {end}
    </>
  );
}
