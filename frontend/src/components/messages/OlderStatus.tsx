// What stands above the first loaded message. Lives in a room of constant height, so it moves nothing.
import type { OlderPages } from "../../model/types";
import { Spinner } from "../ui/Spinner";
import { t } from "../../i18n/text";

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
      return <><Spinner /> {t("messages.loadingOlder")}</>;
    case "failed":
      return (
        <>
          {t("messages.olderFailed")} ·{" "}
          <button type="button" onClick={onRetry} className="min-h-7 rounded px-1 font-semibold text-accent-text underline underline-offset-2 pointer-coarse:min-h-11">{t("common.retry")}</button>
        </>
      );
    case "start-reached":
      return <bdi>{beginning}</bdi>;
  }
}
