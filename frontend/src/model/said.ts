// A message in one line of words: what it says, or else what it brings.
import type { FileInfo } from "./types";

export function said({ text, files }: { text: string; files?: readonly FileInfo[] | undefined }): string {
  return text !== "" || files === undefined ? text : files.map(({ name }) => name).join(", ");
}
