// Somebody came, went, or changed something: one quiet line.
import { Fragment, type ReactNode } from "react";
import { useSession } from "../../hooks/useSession";
import type { TimelineNote, UserId } from "../../model/types";
import { PersonName } from "../PersonName";

function Who({ user, start = false }: { user: UserId | null; start?: boolean }) {
  const session = useSession();
  if (user === null) return "The system";
  if (session.at === "signed-in" && session.me.userId === user) return start ? "You" : "you";
  return <PersonName user={user} />;
}

function Everybody({ users }: { users: UserId[] }) {
  return users.map((user, index) => (
    <Fragment key={user}>
      {index > 0 && (index === users.length - 1 ? " and " : ", ")}
      <Who user={user} />
    </Fragment>
  ));
}

const AS = { owner: "an owner", admin: "an admin", member: "a member", reader: "a reader" } as const;

function words({ from, note }: TimelineNote): ReactNode {
  const who = <Who user={from} start />;
  switch (note.type) {
    case "created":
      return note.title === null ? <>{who} started this chat</> : <>{who} created the {note.kind} “<bdi>{note.title}</bdi>”</>;
    case "added":
      return <>{who} added <Everybody users={note.users} /></>;
    case "removed":
      return <>{who} removed <Who user={note.user} /></>;
    case "left":
      return <>{who} left</>;
    case "title":
      return <>{who} changed the name to “<bdi>{note.title}</bdi>”</>;
    case "role":
      return <>{who} made <Who user={note.user} /> {AS[note.role]}</>;
    case "topic":
      return note.topic === null ? <>{who} removed the topic</> : <>{who} changed the topic to “<bdi>{note.topic}</bdi>”</>;
  }
}

interface NoteLineProps {
  note: TimelineNote;
  tabIndex: 0 | -1;
  onFocus: () => void;
}

export function NoteLine({ note, tabIndex, onFocus }: NoteLineProps) {
  return (
    <article data-message={note.key} tabIndex={tabIndex} onFocus={onFocus} className="mt-3 rounded-control py-0.5 text-center text-meta text-muted">
      {words(note)}
    </article>
  );
}
