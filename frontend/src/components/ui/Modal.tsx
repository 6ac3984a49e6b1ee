// A dialog in the middle, or a sheet from the end edge. Focus is trapped inside and returned by Base UI.
import { Dialog } from "@base-ui/react/dialog";
import clsx from "clsx";
import { X } from "lucide-react";
import { useRef, type ReactNode, type RefObject } from "react";
import { IconButton } from "./IconButton";

interface ModalProps {
  title: string;
  /** Said and shown below the title. */
  description?: string;
  open: boolean;
  onClose: () => void;
  children: ReactNode;
  shape?: "dialog" | "sheet";
  initialFocus?: RefObject<HTMLElement | null>;
  /** Where the focus goes afterwards, when what opened it may be gone by then. */
  finalFocus?: (() => HTMLElement | null) | undefined;
}

export function Modal({ title, description, open, onClose, children, shape = "dialog", initialFocus, finalFocus }: ModalProps) {
  // Without a better place the dialog itself: on "Close" the focus would look like advice.
  const popup = useRef<HTMLDivElement>(null);
  return (
    <Dialog.Root open={open} onOpenChange={(next) => { if (!next) onClose(); }}>
      <Dialog.Portal>
        {/* Also above another dialog: the question is what counts now. */}
        <Dialog.Backdrop forceRender className="fixed inset-0 z-40 animate-appear bg-scrim" />
        <Dialog.Popup
          ref={popup}
          initialFocus={initialFocus ?? popup}
          {...(finalFocus && { finalFocus })}
          className={clsx(
            "fixed z-40 flex animate-appear flex-col bg-raised text-text outline-none",
            shape === "sheet"
              ? "inset-y-0 end-0 w-full border-s border-line pb-[env(safe-area-inset-bottom)] sm:w-[360px]"
              : "inset-x-4 top-[max(1rem,10dvh)] mx-auto max-h-[min(80dvh,calc(100dvh-2rem))] max-w-[480px] rounded-bubble border border-line",
          )}
        >
          <header className="flex items-start justify-between gap-3 ps-5 pe-3 pt-3 pb-1">
            <div className="min-w-0 pt-1.5">
              <Dialog.Title className="text-[1.0625rem] leading-6 font-semibold">{title}</Dialog.Title>
              {description !== undefined && (
                <Dialog.Description className="mt-1 text-muted">{description}</Dialog.Description>
              )}
            </div>
            <Dialog.Close render={<IconButton label="Close" icon={X} />} />
          </header>
          <div className="flex min-h-0 flex-1 flex-col overflow-y-auto px-5 pt-2 pb-5">{children}</div>
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
