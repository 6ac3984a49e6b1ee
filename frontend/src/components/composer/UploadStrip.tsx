// Files that go with the next message: how far each is, and the way to give one up or to try again.
import { RotateCw, TriangleAlert, X } from "lucide-react";
import * as format from "../../format";
import type { Upload } from "../../model/types";
import { FileIcon } from "../messages/FileIcon";
import { IconButton } from "../ui/IconButton";

interface UploadStripProps {
  uploads: readonly Upload[];
  onCancel: (id: number) => void;
  onRetry: (id: number) => void;
}

function stateOf({ state, sent, size }: Upload): string {
  switch (state.at) {
    case "uploading":
      return `${format.bytes(sent)} of ${format.bytes(size)}`;
    case "ready":
      return format.bytes(size);
    case "failed":
      return state.reason;
  }
}

export function UploadStrip({ uploads, onCancel, onRetry }: UploadStripProps) {
  if (uploads.length === 0) return null;
  return (
    <ul aria-label="Files of this message" className="mb-1 flex max-h-48 flex-col gap-1 overflow-y-auto">
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
                <div role="progressbar" aria-label={`Uploading ${name}`} aria-valuemin={0} aria-valuemax={size} aria-valuenow={sent} className="mt-1 mb-0.5 h-1 overflow-hidden rounded-full bg-hover">
                  <div className="h-full rounded-full bg-accent transition-[inline-size] motion-reduce:transition-none" style={{ inlineSize: `${(sent / Math.max(size, 1)) * 100}%` }} />
                </div>
              )}
            </div>
            {state.at === "failed" && state.again && <IconButton label={`Try ${name} again`} icon={RotateCw} side="top" onClick={() => onRetry(id)} />}
            <IconButton label={state.at === "uploading" ? `Cancel ${name}` : `Remove ${name}`} icon={X} side="top" onClick={() => onCancel(id)} />
          </li>
        );
      })}
    </ul>
  );
}
