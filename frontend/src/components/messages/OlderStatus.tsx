// What stands above the first loaded message. Lives in a room of constant height, so it moves nothing.
import type { OlderPages } from "../../model/types";
import { Spinner } from "../ui/Spinner";

interface OlderStatusProps {
  older: OlderPages;
  beginning: string;
  onRetry: () => void;
}

export function OlderStatus({ older, beginning, onRetry }: OlderStatusProps) {
  switch (older) {
    case "more":
      return null;
    case "loading":
      return <><Spinner /> Loading earlier messages</>;
    case "failed":
      return (
        <>
          Could not load earlier messages ·{" "}
          <button type="button" onClick={onRetry} className="min-h-7 rounded px-1 font-semibold text-accent-text underline underline-offset-2 pointer-coarse:min-h-11">Retry</button>
        </>
      );
    case "start-reached":
      return <bdi>{beginning}</bdi>;
  }
}
