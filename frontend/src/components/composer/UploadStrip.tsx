// Files that go with the next message: how far each is, and the way to give one up or to try again.
import { RotateCw, TriangleAlert, X } from "lucide-react";
import * as format from "../../format";
import { t } from "../../i18n/text";
import type { Upload, UploadProblem } from "../../model/types";
import { problemWords } from "../problemWords";
import { FileIcon } from "../messages/FileIcon";
import { IconButton } from "../ui/IconButton";

interface UploadStripProps {
  uploads: readonly Upload[];
  onCancel: (id: number) => void;
  onRetry: (id: number) => void;
}

function why(problem: UploadProblem): string {
  switch (problem.code) {
    case "files_off":
      return t("files.off");
    case "too_many_files":
      return t("files.tooMany", { count: problem.max ?? 0 });
    case "empty_file":
      return t("files.empty");
    case "file_too_large":
      return t("files.tooLarge", { max: format.bytes(problem.max ?? 0) });
    case "too_large":
      return t("files.refusedSize");
    case "quota_exceeded":
      return t("files.quota");
    case "file_lost":
      return t("files.lost");
    default:
      return problemWords(problem);
  }
}

function stateOf({ state, sent, size }: Upload): string {
  switch (state.at) {
    case "uploading":
      return t("files.progress", { sent: format.bytes(sent), size: format.bytes(size) });
    case "ready":
      return format.bytes(size);
    case "failed":
      return why(state.problem);
  }
}

export function UploadStrip({ uploads, onCancel, onRetry }: UploadStripProps) {
  if (uploads.length === 0) return null;
  return (
    <ul aria-label={t("files.ofMessage")} className="mb-1 flex max-h-48 flex-col gap-1 overflow-y-auto">
      {uploads.map((upload) => {
        const { id, name, state, sent, size } = upload;
        return (
          <li key={id} className="flex items-center gap-2 rounded-control bg-sidebar py-1 ps-3 pe-1">
            {state.at === "failed"
              ? <TriangleAlert aria-hidden size={18} strokeWidth={1.75} className="shrink-0 text-danger" />
              : <FileIcon type={state.at === "ready" ? state.file.type : ""} className="shrink-0 text-accent-text" />}
            <div className="min-w-0 flex-1 text-meta">
              <bdi className="block truncate font-semibold">{name}</bdi>
              <span role={state.at === "failed" ? "alert" : undefined} className={state.at === "failed" ? "block text-danger" : "block truncate text-muted tabular-nums"}>
                {stateOf(upload)}
              </span>
              {state.at === "uploading" && (
                <div role="progressbar" aria-label={t("files.uploading", { name })} aria-valuemin={0} aria-valuemax={size} aria-valuenow={sent} className="mt-1 mb-0.5 h-1 overflow-hidden rounded-full bg-hover">
                  <div className="h-full rounded-full bg-accent transition-[inline-size] motion-reduce:transition-none" style={{ inlineSize: `${(sent / Math.max(size, 1)) * 100}%` }} />
                </div>
              )}
            </div>
            {state.at === "failed" && state.again && <IconButton label={t("files.again", { name })} icon={RotateCw} side="top" onClick={() => onRetry(id)} />}
            <IconButton label={state.at === "uploading" ? t("files.cancel", { name }) : t("files.remove", { name })} icon={X} side="top" onClick={() => onCancel(id)} />
          </li>
        );
      })}
    </ul>
  );
}
