// One member of a group or channel, with what the person at this screen may do about it.
import { Menu } from "@base-ui/react/menu";
import { Ellipsis } from "lucide-react";
import { useProfile } from "../../hooks/useProfile";
import type { Member } from "../../model/types";
import type { Role } from "../../protocol";
import { PersonLine } from "../people/PersonLine";
import { UNKNOWN_NAME } from "../PersonName";
import { IconButton } from "../ui/IconButton";

interface MemberRowProps {
  member: Member;
  me: boolean;
  /** The roles that may be given to them, highest first. */
  roles: readonly Role[];
  /** What they can be removed from; `null`: they cannot be. */
  removable: "group" | "channel" | null;
  onRole: (role: Role) => void;
  onRemove: () => void;
}

const row = "flex min-h-9 cursor-default items-center rounded-md px-2.5 outline-none select-none data-highlighted:bg-hover pointer-coarse:min-h-11";

const BADGES = { owner: "Owner", admin: "Admin", member: null, reader: "Reads only" } as const;
const MAKE = { owner: "Make owner", admin: "Make admin", member: "Make member", reader: "Let them only read" } as const;

export function MemberRow({ member, me, roles, removable, onRole, onRemove }: MemberRowProps) {
  const profile = useProfile(member.user);
  const name = profile?.displayName ?? UNKNOWN_NAME;
  return (
    <li className="flex min-h-13 items-center gap-3 py-1">
      <PersonLine
        seed={member.user}
        name={name}
        {...(me && { suffix: " (you)" })}
        detail={profile === null ? "" : `@${profile.name}`}
        end={BADGES[member.role] !== null && <span className="rounded-full border border-line px-2 py-0.5 text-meta text-muted">{BADGES[member.role]}</span>}
      />
      {!me && (roles.length > 0 || removable !== null) && (
        <Menu.Root>
          <Menu.Trigger render={<IconButton label={`Actions for ${name}`} icon={Ellipsis} className="-me-2" />} />
          <Menu.Portal>
            <Menu.Positioner sideOffset={4} align="end" className="z-50">
              <Menu.Popup className="w-48 animate-appear rounded-bubble border border-line bg-raised p-1.5 text-[0.875rem] text-text outline-none">
                {roles.map((role) => <Menu.Item key={role} className={row} onClick={() => onRole(role)}>{MAKE[role]}</Menu.Item>)}
                {removable !== null && <Menu.Item className={`${row} text-danger`} onClick={onRemove}>Remove from {removable}</Menu.Item>}
              </Menu.Popup>
            </Menu.Positioner>
          </Menu.Portal>
        </Menu.Root>
      )}
    </li>
  );
}
