// Every key that does something, in one place.
import { MOD } from "../a11y/useShortcuts";
import { Modal } from "./ui/Modal";

interface ShortcutSheetProps {
  open: boolean;
  onClose: () => void;
}

const SECTIONS: { title: string; keys: [keys: string[], does: string][] }[] = [
  {
    title: "Anywhere",
    keys: [
      [[`${MOD}K`], "Go to a conversation or a person"],
      [["Alt+↑", "Alt+↓"], "Previous, next conversation"],
      [["Alt+Shift+↑", "Alt+Shift+↓"], "Previous, next unread"],
      [["F6", "Shift+F6"], "Next, previous part of the page"],
      [[`${MOD}/`], "This list"],
    ],
  },
  {
    title: "In a conversation",
    keys: [
      [["Enter"], "Send"],
      [["Shift+Enter"], "New line"],
      [["↑"], "In an empty field: edit my last message"],
      [["Esc"], "Leave a reply or an edit; then: mark read, jump to the latest"],
      [["Shift+Page Up"], "Oldest unread message"],
      [[`${MOD}End`], "Latest message"],
    ],
  },
  {
    title: "Among the messages",
    keys: [
      [["↑", "↓", "Home", "End"], "Move"],
      [["Enter", "←", "→"], "To and among the links and buttons of a message"],
      [["R"], "Reply"],
      [["+"], "React with an emoji"],
      [["E"], "Edit my message"],
      [["C"], "Copy the text"],
      [["P"], "Pin, unpin"],
      [["H"], "Earlier versions of an edited message"],
      [["Del"], "Delete"],
      [["Esc"], "Back to writing"],
    ],
  },
];

export function ShortcutSheet({ open, onClose }: ShortcutSheetProps) {
  return (
    <Modal title="Keyboard shortcuts" open={open} onClose={onClose}>
      {/* Focusable, so that the arrows scroll it where it does not fit. */}
      <div role="group" aria-label="All shortcuts" tabIndex={0} className="rounded-control">
        {SECTIONS.map((section) => (
          <section key={section.title} className="mt-3 first:mt-0">
            <h3 className="mb-1 text-meta font-semibold text-muted">{section.title}</h3>
            <dl>
              {section.keys.map(([keys, does]) => (
                <div key={does} className="flex items-center justify-between gap-4 border-b border-line py-2 last:border-0">
                  <dt className="order-2 flex shrink-0 flex-wrap justify-end gap-1.5">
                    {keys.map((key) => <kbd key={key} className="rounded-md border border-line bg-sidebar px-1.5 py-0.5 text-meta whitespace-nowrap">{key}</kbd>)}
                  </dt>
                  <dd className="text-[0.875rem] leading-5">{does}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Modal>
  );
}
