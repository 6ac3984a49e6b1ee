// Somebody in a list to choose from.
import type { ReactNode } from "react";
import { Avatar } from "../ui/Avatar";

interface PersonLineProps {
  seed: string;
  name: string;
  /** The handle, or what kind of conversation it is. */
  detail: string;
  shape?: "person" | "group";
  online?: boolean;
  end?: ReactNode;
}

export function PersonLine({ seed, name, detail, shape = "person", online = false, end }: PersonLineProps) {
  return (
    <>
      <Avatar seed={seed} name={name} shape={shape} online={online} size="small" />
      <span className="min-w-0 flex-1">
        <bdi className="block truncate font-medium">{name}</bdi>
        <span className="block truncate text-meta text-muted">{detail}</span>
      </span>
      {end}
    </>
  );
}
