// What opens over the screen. A chunk of its own: nobody needs it for the first look.
import type { ConversationId } from "../model/types";
import { Browse } from "./people/Browse";
import { NewChat } from "./people/NewChat";
import { NewGroup } from "./people/NewGroup";
import { QuickSwitcher } from "./people/QuickSwitcher";
import { ShortcutSheet } from "./ShortcutSheet";

export type Layer = "switcher" | "new-chat" | "new-group" | "browse" | "shortcuts" | null;

interface LayersProps {
  layer: Layer;
  onLayer: (layer: Layer) => void;
  onOpenConversation: (id: ConversationId) => void;
}

export function Layers({ layer, onLayer, onOpenConversation }: LayersProps) {
  const close = () => onLayer(null);
  return (
    <>
      <QuickSwitcher open={layer === "switcher"} onClose={close} onOpenConversation={onOpenConversation} />
      <NewChat open={layer === "new-chat"} onClose={close} onOpenConversation={onOpenConversation} onNewGroup={() => onLayer("new-group")} onBrowse={() => onLayer("browse")} />
      <Browse open={layer === "browse"} onClose={close} onOpenConversation={onOpenConversation} />
      <NewGroup open={layer === "new-group"} onClose={close} onOpenConversation={onOpenConversation} />
      <ShortcutSheet open={layer === "shortcuts"} onClose={close} />
    </>
  );
}
