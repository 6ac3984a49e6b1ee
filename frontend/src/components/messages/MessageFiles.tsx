// What came with a message: pictures, sound and film in place, everything else by its name.
import { Download } from "lucide-react";
import clsx from "clsx";
import * as format from "../../format";
import { useFileAddress } from "../../hooks/useFileAddress";
import { t } from "../../i18n/text";
import type { FileInfo } from "../../model/types";
import { FileIcon } from "./FileIcon";

/** What the server lets a browser show; everything else it only gives away to be saved. */
const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);
const SOUNDS = new Set(["audio/mpeg", "audio/ogg", "audio/wav", "audio/flac", "audio/aac", "audio/mp4", "audio/webm"]);
const FILMS = new Set(["video/mp4", "video/webm", "video/ogg"]);

/** In CSS pixels: a column of messages is no wider on a phone. */
const WIDTH_MAX = 320;
const HEIGHT_MAX = 320;

interface FileProps {
  file: FileInfo;
  mine: boolean;
  tabIndex: 0 | -1;
}

/** As large as it is, and no larger than there is room: known before it is loaded, so that nothing jumps. */
function shownSize({ width, height }: FileInfo): { width: number; height: number } | null {
  if (width === null || height === null || width === 0 || height === 0) return null;
  const scale = Math.min(1, WIDTH_MAX / width, HEIGHT_MAX / height);
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

function Picture({ file, tabIndex }: FileProps) {
  const address = useFileAddress(file.id);
  const size = shownSize(file);
  // An animation moves in the original alone.
  const source = address === null ? undefined : file.type === "image/gif" ? address.content : address.thumbnail ?? address.content;
  return (
    // One element before and after it is known where the picture is, so that it is not made anew.
    <a href={address?.content} target="_blank" rel="noreferrer" tabIndex={tabIndex} aria-label={t("files.open", { name: file.name })} className="block rounded-control">
      <img
        src={source}
        alt={file.name}
        width={size?.width}
        height={size?.height}
        loading="lazy"
        decoding="async"
        className="block h-auto max-h-80 max-w-full rounded-control bg-hover object-contain"
        style={size === null ? { minBlockSize: "6rem", minInlineSize: "6rem" } : { aspectRatio: `${size.width} / ${size.height}` }}
      />
    </a>
  );
}

function Player({ file, tabIndex }: FileProps) {
  const address = useFileAddress(file.id);
  const source = { src: address?.content, controls: true, preload: "metadata", tabIndex, "aria-label": file.name } as const;
  return SOUNDS.has(file.type)
    ? <audio {...source} className="block w-72 max-w-full" />
    : <video {...source} className="block aspect-video w-80 max-w-full rounded-control bg-black" />;
}

function Saved({ file, mine, tabIndex }: FileProps) {
  const address = useFileAddress(file.id);
  return (
    <a
      href={address?.content}
      download={file.name}
      tabIndex={tabIndex}
      className="flex max-w-full items-center gap-2 rounded-control border border-line px-2.5 py-2 hover:bg-hover pointer-coarse:min-h-11"
    >
      <FileIcon type={file.type} className="shrink-0" />
      <span className="min-w-0">
        <bdi className="block truncate font-semibold">{file.name}</bdi>
        <span className={clsx("block text-meta", mine ? "text-own-muted" : "text-peer-muted")}>{format.bytes(file.size)}</span>
      </span>
      <Download aria-hidden size={16} strokeWidth={1.75} className="ms-auto shrink-0" />
    </a>
  );
}

export function MessageFiles({ files, mine, tabIndex }: { files: readonly FileInfo[]; mine: boolean; tabIndex: 0 | -1 }) {
  return (
    <ul aria-label={t("files.label")} className="my-1 flex flex-col gap-1.5">
      {files.map((file) => {
        const One = PICTURES.has(file.type) ? Picture : SOUNDS.has(file.type) || FILMS.has(file.type) ? Player : Saved;
        return <li key={file.id} className="max-w-full"><One file={file} mine={mine} tabIndex={tabIndex} /></li>;
      })}
    </ul>
  );
}
