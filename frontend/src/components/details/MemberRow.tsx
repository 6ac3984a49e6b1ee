// One member of a group or channel, with what the person at this screen may do about it.
import { Menu } from "@base-ui/react/menu";
import { Ellipsis } from "lucide-react";
import { useProfile } from "../../hooks/useProfile";
import type { Member } from "../../model/types";
import type { Role } from "../../protocol";
import { PersonLine } from "../people/PersonLine";
import { nameOf } from "../nameOf";
import { IconButton } from "../ui/IconButton";
import { t } from "../../i18n/text";

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

const BADGES = { owner: "role.owner", admin: "role.admin", member: null, reader: "role.reader" } as const;
const MAKE = { owner: "role.makeOwner", admin: "role.makeAdmin", member: "role.makeMember", reader: "role.makeReader" } as const;

export function MemberRow({ member, me, roles, removable, onRole, onRemove }: MemberRowProps) {
  const profile = useProfile(member.user);
  const name = nameOf(profile);
  const badge = BADGES[member.role];
  return (
    <li className="flex min-h-13 items-center gap-3 py-1">
      <PersonLine
        seed={member.user}
        name={name}
        {...(me && { suffix: t("person.youSuffix") })}
        detail={profile === null ? "" : `@${profile.name}`}
        end={badge !== null && <span className="rounded-full border border-line px-2 py-0.5 text-meta text-muted">{t(badge)}</span>}
      />
      {!me && (roles.length > 0 || removable !== null) && (
        <Menu.Root>
          <Menu.Trigger render={<IconButton label={t("details.actionsFor", { name })} icon={Ellipsis} className="-me-2" />} />
          <Menu.Portal>
            <Menu.Positioner sideOffset={4} align="end" className="z-50">
              <Menu.Popup className="w-48 animate-appear rounded-bubble border border-line bg-raised p-1.5 text-[0.875rem] text-text outline-none">
                {roles.map((role) => <Menu.Item key={role} className={row} onClick={() => onRole(role)}>{t(MAKE[role])}</Menu.Item>)}
                {removable !== null && <Menu.Item className={`${row} text-danger`} onClick={onRemove}>{t(removable === "channel" ? "details.removeFromChannel" : "details.removeFromGroup")}</Menu.Item>}
              </Menu.Popup>
            </Menu.Positioner>
          </Menu.Portal>
        </Menu.Root>
      )}
    </li>
  );
}
