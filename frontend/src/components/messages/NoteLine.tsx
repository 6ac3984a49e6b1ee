// Somebody came, went, or changed something: one quiet line.
import { Fragment, type ReactNode } from "react";
import * as format from "../../format";
import { useSession } from "../../hooks/useSession";
import { rich, t } from "../../i18n/text";
import type { TimelineNote, UserId } from "../../model/types";
import { PersonName } from "../PersonName";

type Me = UserId | null;

/** As the one to whom something is done. */
function Whom({ user, me }: { user: UserId; me: Me }) {
  return user === me ? t("note.youAsObject") : <PersonName user={user} />;
}

function everybody(users: UserId[], me: Me): ReactNode {
  return format.around(users.map((user) => <Whom key={user} user={user} me={me} />)).map((part, index) => <Fragment key={index}>{part}</Fragment>);
}

const AS = { owner: "note.asOwner", admin: "note.asAdmin", member: "note.asMember", reader: "note.asReader" } as const;

// A language may bend the verb for “you”: such a sentence is one of its own.
function words({ from, note }: TimelineNote, me: Me): ReactNode {
  const own = from !== null && from === me;
  const who = from === null ? t("note.system") : <PersonName user={from} />;
  switch (note.type) {
    case "created": {
      if (note.title === null) return own ? t("note.started.you") : rich("note.started", { who });
      const title = <bdi>{note.title}</bdi>;
      if (note.kind === "channel") return own ? rich("note.channel.you", { title }) : rich("note.channel", { who, title });
      return own ? rich("note.group.you", { title }) : rich("note.group", { who, title });
    }
    case "added": {
      const whom = everybody(note.users, me);
      return own ? rich("note.added.you", { whom }) : rich("note.added", { who, whom });
    }
    case "removed": {
      const whom = <Whom user={note.user} me={me} />;
      return own ? rich("note.removed.you", { whom }) : rich("note.removed", { who, whom });
    }
    case "left":
      return own ? t("note.left.you") : rich("note.left", { who });
    case "title": {
      const title = <bdi>{note.title}</bdi>;
      return own ? rich("note.title.you", { title }) : rich("note.title", { who, title });
    }
    case "role": {
      const whom = <Whom user={note.user} me={me} />;
      const role = t(AS[note.role]);
      return own ? rich("note.role.you", { whom, role }) : rich("note.role", { who, whom, role });
    }
    case "topic": {
      if (note.topic === null) return own ? t("note.noTopic.you") : rich("note.noTopic", { who });
      const topic = <bdi>{note.topic}</bdi>;
      return own ? rich("note.topic.you", { topic }) : rich("note.topic", { who, topic });
    }
    case "joined": {
      if (note.link === null) return own ? t("note.joined.you") : rich("note.joined", { who });
      return own ? t("note.joinedByLink.you") : rich("note.joinedByLink", { who });
    }
    case "access":
      if (note.access === "public") return own ? t("note.public.you") : rich("note.public", { who });
      return own ? t("note.private.you") : rich("note.private", { who });
    case "history":
      if (note.history === "all") return own ? t("note.historyAll.you") : rich("note.historyAll", { who });
      return own ? t("note.historySinceJoining.you") : rich("note.historySinceJoining", { who });
    case "linked":
      return own ? t("note.linked.you") : rich("note.linked", { who });
    case "unlinked":
      return own ? t("note.unlinked.you") : rich("note.unlinked", { who });
  }
}

interface NoteLineProps {
  note: TimelineNote;
  tabIndex: 0 | -1;
  onFocus: () => void;
}

export function NoteLine({ note, tabIndex, onFocus }: NoteLineProps) {
  const session = useSession();
  return (
    <article data-message={note.key} tabIndex={tabIndex} onFocus={onFocus} className="mt-3 rounded-control py-0.5 text-center text-meta text-muted">
      {words(note, session.at === "signed-in" ? session.me.userId : null)}
    </article>
  );
}
