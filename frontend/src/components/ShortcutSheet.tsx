// Every key that does something, in one place.
import { MOD } from "../a11y/useShortcuts";
import { t } from "../i18n/text";
import { useSettings, type Settings } from "../settings";
import { Modal } from "./ui/Modal";

interface ShortcutSheetProps {
  open: boolean;
  onClose: () => void;
}

const letters = (): [keys: string[], does: string][] => [
  [["R"], t("keys.reply")],
  [["+"], t("keys.react")],
  [["E"], t("keys.edit")],
  [["C"], t("keys.copy")],
  [["P"], t("keys.pin")],
  [["H"], t("keys.history")],
];

const sections = ({ enterSends, letterKeys }: Settings): { title: string; keys: [keys: string[], does: string][] }[] => [
  {
    title: t("keys.anywhere"),
    keys: [
      [[`${MOD}K`], t("keys.goTo")],
      [["Alt+↑", "Alt+↓"], t("keys.nextConversation")],
      [["Alt+Shift+↑", "Alt+Shift+↓"], t("keys.nextUnread")],
      [["F6", "Shift+F6"], t("keys.nextRegion")],
      [[`${MOD}/`], t("keys.thisList")],
    ],
  },
  {
    title: t("keys.inConversation"),
    keys: [
      [[enterSends ? "Enter" : `${MOD}Enter`], t("keys.send")],
      [[enterSends ? "Shift+Enter" : "Enter"], t("keys.newLine")],
      [["↑"], t("keys.editLast")],
      [["Esc"], t("keys.escape")],
      [["Shift+Page Up"], t("keys.oldestUnread")],
      [[`${MOD}End`], t("keys.latest")],
    ],
  },
  {
    title: t("keys.amongMessages"),
    keys: [
      [["↑", "↓", "Home", "End"], t("keys.move")],
      [["Enter", "←", "→"], t("keys.inside")],
      ...(letterKeys ? letters() : []),
      [["Del"], t("keys.delete")],
      [["Esc"], t("keys.toWriting")],
    ],
  },
];

export function ShortcutSheet({ open, onClose }: ShortcutSheetProps) {
  const chosen = useSettings();
  return (
    <Modal title={t("menu.shortcuts")} open={open} onClose={onClose}>
      {/* Focusable, so that the arrows scroll it where it does not fit. */}
      <div role="group" aria-label={t("keys.all")} tabIndex={0} className="rounded-control">
        {sections(chosen).map((section) => (
          <section key={section.title} className="mt-3 first:mt-0">
            <h3 className="mb-1 text-meta font-semibold text-muted">{section.title}</h3>
            <dl>
              {section.keys.map(([keys, does]) => (
                <div key={does} className="flex items-center justify-between gap-4 border-b border-line py-2 last:border-0">
                  <dt className="order-2 flex shrink-0 flex-wrap justify-end gap-1.5">
                    {keys.map((key) => <kbd key={key} dir="ltr" className="rounded-md border border-line bg-sidebar px-1.5 py-0.5 text-meta whitespace-nowrap">{key}</kbd>)}
                  </dt>
                  <dd className="text-[0.875rem] leading-5">{does}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
        {!chosen.letterKeys && <p className="mt-3 text-meta text-muted">{t("keys.lettersOff")}</p>}
      </div>
    </Modal>
  );
}
