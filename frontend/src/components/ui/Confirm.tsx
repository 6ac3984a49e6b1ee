// One question before something that cannot be undone.
import { useRef } from "react";
import { Button } from "./Button";
import { Modal } from "./Modal";

interface ConfirmProps {
  open: boolean;
  title: string;
  description: string;
  action: string;
  tone?: "accent" | "danger";
  finalFocus?: () => HTMLElement | null;
  onConfirm: () => void;
  onClose: () => void;
}

export function Confirm({ open, title, description, action, tone = "danger", finalFocus, onConfirm, onClose }: ConfirmProps) {
  // The harmless answer has the focus: Enter must not destroy anything by surprise.
  const cancel = useRef<HTMLButtonElement>(null);
  return (
    <Modal title={title} description={description} open={open} onClose={onClose} initialFocus={cancel} finalFocus={finalFocus}>
      <div className="mt-4 flex flex-wrap justify-end gap-2">
        <Button ref={cancel} onClick={onClose}>Cancel</Button>
        <Button tone={tone} onClick={() => { onClose(); onConfirm(); }}>{action}</Button>
      </div>
    </Modal>
  );
}
