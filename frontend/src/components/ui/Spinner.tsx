// Something small is under way; the words beside it say what.
import { LoaderCircle } from "lucide-react";

export function Spinner() {
  return <LoaderCircle aria-hidden size={16} className="animate-spin text-muted" />;
}
