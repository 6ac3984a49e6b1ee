// Where files are to be had. Asked for together, because a screen shows many at once, and kept as long
// as an address holds.
import type { Api } from "../api";
import type { FileAddress } from "../model/types";

/** Long enough for the messages of one screen to be drawn. */
const GATHER_MS = 20;
const IDS_MAX = 100;
/** Not given out any more so shortly before its end. */
const SPARE_MS = 60_000;

export class FileAddresses {
  private readonly known = new Map<string, FileAddress>();
  private waiting = new Map<string, { answer: Promise<FileAddress | null>; resolve: (address: FileAddress | null) => void }>();
  private gathering = false;

  constructor(
    private readonly api: Pick<Api, "files" | "resolve">,
    private readonly after: (ms: number, callback: () => void) => () => void,
    private readonly now: () => number = Date.now,
  ) {}

  of(id: string): Promise<FileAddress | null> {
    const known = this.known.get(id);
    if (known !== undefined && known.expiresAt - SPARE_MS > this.now()) return Promise.resolve(known);
    const waiting = this.waiting.get(id);
    if (waiting !== undefined) return waiting.answer;
    let resolve: (address: FileAddress | null) => void = () => {};
    const answer = new Promise<FileAddress | null>((done) => { resolve = done; });
    this.waiting.set(id, { answer, resolve });
    if (!this.gathering) {
      this.gathering = true;
      this.after(GATHER_MS, () => void this.ask());
    }
    return answer;
  }

  private async ask(): Promise<void> {
    const asked = this.waiting;
    this.waiting = new Map();
    this.gathering = false;
    const ids = [...asked.keys()];
    for (let at = 0; at < ids.length; at += IDS_MAX) {
      const some = ids.slice(at, at + IDS_MAX);
      const answer = await this.api.files(some);
      for (const { file, address } of answer.ok ? answer.value : []) {
        const thumbnail = address.thumbnail === null ? null : this.api.resolve(address.thumbnail);
        this.known.set(file.id, { ...address, content: this.api.resolve(address.content), thumbnail });
      }
      for (const id of some) asked.get(id)?.resolve(answer.ok ? (this.known.get(id) ?? null) : null);
    }
  }
}
