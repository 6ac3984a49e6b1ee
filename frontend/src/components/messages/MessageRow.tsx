// A row of the list: what stands above an entry, and the entry with the name of its author.
import { useProfile } from "../../hooks/useProfile";
import type { TimelineMessage, UserId } from "../../model/types";
import type { Permissions } from "../../model/permissions";
import { UNKNOWN_NAME } from "../PersonName";
import type { MessageActions } from "./actions";
import { Message } from "./Message";
import { NoteLine } from "./NoteLine";
import type { Row } from "./rows";
import { DaySeparator, UnreadDivider } from "./separators";

interface MessageRowProps {
  row: Row;
  showAuthor: boolean;
  marked: boolean;
  mayDo: (message: TimelineMessage) => Permissions;
  actions: MessageActions;
  tabIndex: 0 | -1;
  onFocus: (key: string) => void;
  onRetry: (key: string) => void;
  onDelete: (key: string) => void;
}

type EntryProps = Omit<MessageRowProps, "row"> & { row: Row; message: TimelineMessage };

function Entry({ row, message, author, showAuthor, marked, mayDo, actions, tabIndex, onFocus, onRetry, onDelete }: EntryProps & { author: string }) {
  return (
    <Message
      message={message}
      author={author}
      showAuthor={showAuthor}
      startsGroup={row.startsGroup}
      endsGroup={row.endsGroup}
      endsRun={row.endsRun}
      marked={marked}
      may={mayDo(message)}
      actions={actions}
      tabIndex={tabIndex}
      onFocus={() => onFocus(row.key)}
      onRetry={() => onRetry(row.key)}
      onDelete={() => onDelete(row.key)}
    />
  );
}

function NamedEntry({ user, ...rest }: EntryProps & { user: UserId }) {
  return <Entry {...rest} author={useProfile(user)?.displayName ?? UNKNOWN_NAME} />;
}

export function MessageRow(props: MessageRowProps) {
  const { row, tabIndex, onFocus } = props;
  const { entry } = row;
  return (
    <>
      {row.startsDay && <DaySeparator at={entry.at} />}
      {row.startsUnread && <UnreadDivider />}
      {entry.kind === "note" ? (
        <NoteLine note={entry} tabIndex={tabIndex} onFocus={() => onFocus(row.key)} />
      ) : entry.from === null ? (
        <Entry {...props} message={entry} author="System" />
      ) : (
        <NamedEntry {...props} message={entry} user={entry.from} />
      )}
    </>
  );
}
