// A picture for a kind of file.
import { File, FileText, Film, Image, Music, type LucideIcon } from "lucide-react";

const BY_KIND = new Map<string, LucideIcon>([["image", Image], ["audio", Music], ["video", Film], ["text", FileText]]);

export function FileIcon({ type, className }: { type: string; className?: string }) {
  const Icon = BY_KIND.get(type.split("/")[0] ?? "") ?? File;
  return <Icon aria-hidden size={18} strokeWidth={1.75} className={className} />;
}
