// One member of a group, with what an owner may do about it.
import { Menu } from "@base-ui/react/menu";
import { Ellipsis } from "lucide-react";
import { useProfile } from "../../hooks/useProfile";
import type { Member } from "../../model/types";
import { PersonLine } from "../people/PersonLine";
import { UNKNOWN_NAME } from "../PersonName";
import { IconButton } from "../ui/IconButton";

interface MemberRowProps {
  member: Member;
  me: boolean;
  /** The person at this screen is an owner. */
  mayChange: boolean;
  onRole: (role: "owner" | "member") => void;
  onRemove: () => void;
}

const row = "flex min-h-9 cursor-default items-center rounded-md px-2.5 outline-none select-none data-highlighted:bg-hover pointer-coarse:min-h-11";

export function MemberRow({ member, me, mayChange, onRole, onRemove }: MemberRowProps) {
  const profile = useProfile(member.user);
  const name = profile?.displayName ?? UNKNOWN_NAME;
  return (
    <li className="flex min-h-13 items-center gap-3 py-1">
      <PersonLine
        seed={member.user}
        name={name}
        {...(me && { suffix: " (you)" })}
        detail={profile === null ? "" : `@${profile.name}`}
        end={member.role === "owner" && <span className="rounded-full border border-line px-2 py-0.5 text-meta text-muted">Owner</span>}
      />
      {mayChange && !me && (
        <Menu.Root>
          <Menu.Trigger render={<IconButton label={`Actions for ${name}`} icon={Ellipsis} className="-me-2" />} />
          <Menu.Portal>
            <Menu.Positioner sideOffset={4} align="end" className="z-50">
              <Menu.Popup className="w-48 animate-appear rounded-bubble border border-line bg-raised p-1.5 text-[0.875rem] text-text outline-none">
                {member.role === "member" ? (
                  <Menu.Item className={row} onClick={() => onRole("owner")}>Make owner</Menu.Item>
                ) : (
                  <Menu.Item className={row} onClick={() => onRole("member")}>Make member</Menu.Item>
                )}
                <Menu.Item className={`${row} text-danger`} onClick={onRemove}>Remove from group</Menu.Item>
              </Menu.Popup>
            </Menu.Positioner>
          </Menu.Portal>
        </Menu.Root>
      )}
    </li>
  );
}
