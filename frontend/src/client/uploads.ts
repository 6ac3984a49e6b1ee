// Files on their way to the server: a few at a time, in pieces, so that what breaks off goes on where
// it was. What is ready waits for the next message of its conversation.
import type { Api } from "../api";
import type { ConversationId, FileInfo, Outcome, ProblemView, Readable, Upload, UploadProblem } from "../model/types";
import { createStore, derive } from "../store";

/** Few enough that a message is not long in waiting for the bytes of a piece, and many enough to see something move. */
const PIECE_BYTES = 512 * 1024;
/** The server takes a file in at most a thousand. */
const PIECES_MAX = 900;
const AT_ONCE = 3;
/** The connection breaks, the server restarts: as often as this in a row nobody has to be asked. */
const TRIES = 4;
const PAUSE_MS = 1_000;

/** What the server says of an upload that another try will not change. */
const FINAL = new Set(["too_large", "quota_exceeded", "forbidden", "invalid", "not_found", "unauthenticated"]);

interface Job {
  upload: Upload;
  file: File;
  /** What the server calls it, once it has begun. */
  remote: string | null;
  running: boolean;
  abort: AbortController;
}

export class Uploads {
  private readonly all = createStore<readonly Upload[]>([]);
  private readonly views = new Map<ConversationId, Readable<readonly Upload[]>>();
  private readonly jobs = new Map<number, Job>();
  private last = 0;

  constructor(
    private readonly api: Pick<Api, "beginUpload" | "uploadPiece" | "uploadOffset" | "giveUpUpload" | "files">,
    private readonly limits: Readable<{ bytes: number; count: number }>,
    private readonly pause: (ms: number) => Promise<void> = (ms) => new Promise((done) => setTimeout(done, ms)),
  ) {}

  of(conversation: ConversationId): Readable<readonly Upload[]> {
    const known = this.views.get(conversation);
    if (known !== undefined) return known;
    const view = derive<readonly Upload[]>([this.all], (before) => {
      const own = this.all.get().filter((upload) => upload.conversation === conversation);
      // The same list as long as nothing in it changed, so that the screen can tell.
      return before !== null && own.length === before.length && own.every((upload, index) => upload === before[index]) ? before : own;
    });
    this.views.set(conversation, view);
    return view;
  }

  /** Nothing goes on; what was begun expires at the server. */
  end(): void {
    for (const job of this.jobs.values()) job.abort.abort();
    this.jobs.clear();
  }

  add(conversation: ConversationId, files: readonly File[]): void {
    const { bytes, count } = this.limits.get();
    let room = count - this.all.get().filter((upload) => upload.conversation === conversation).length;
    for (const file of files) {
      this.last += 1;
      const upload: Upload = { id: this.last, conversation, name: file.name, size: file.size, sent: 0, state: { at: "uploading" } };
      const problem = refusal(file.size, bytes, room, count);
      room -= 1;
      const state = problem === null ? upload.state : { at: "failed" as const, problem, again: false };
      this.jobs.set(upload.id, { upload: { ...upload, state }, file, remote: null, running: false, abort: new AbortController() });
    }
    this.changed();
    this.pump();
  }

  cancel(id: number): void {
    const job = this.jobs.get(id);
    if (job === undefined) return;
    job.abort.abort();
    this.jobs.delete(id);
    this.changed();
    // What it leaves there expires by itself if this does not arrive.
    if (job.remote !== null) void this.api.giveUpUpload(job.remote);
    this.pump();
  }

  retry(id: number): void {
    const job = this.jobs.get(id);
    if (job?.upload.state.at !== "failed" || !job.upload.state.again) return;
    this.set(job, { state: { at: "uploading" } });
    this.pump();
  }

  /** What is ready, in the order in which it was chosen: it belongs to a message now. */
  take(conversation: ConversationId): FileInfo[] {
    const taken: FileInfo[] = [];
    for (const [id, { upload }] of this.jobs) {
      if (upload.conversation !== conversation || upload.state.at !== "ready") continue;
      taken.push(upload.state.file);
      this.jobs.delete(id);
    }
    if (taken.length > 0) this.changed();
    return taken;
  }

  private pump(): void {
    let running = [...this.jobs.values()].filter((job) => job.running).length;
    for (const job of this.jobs.values()) {
      if (running >= AT_ONCE) return;
      if (job.running || job.upload.state.at !== "uploading") continue;
      running += 1;
      job.running = true;
      void this.run(job).then((outcome) => {
        job.running = false;
        if (!outcome.ok) this.set(job, { state: { at: "failed", problem: outcome.problem, again: !FINAL.has(outcome.problem.code) } });
        else this.set(job, { sent: job.file.size, state: { at: "ready", file: outcome.value } });
        this.pump();
      });
    }
  }

  private async run(job: Job): Promise<Outcome<FileInfo>> {
    const { file, abort } = job;
    const piece = Math.max(PIECE_BYTES, Math.ceil(file.size / PIECES_MAX));
    let offset = 0;
    // Unknown: after a failure the server says where it is.
    let known = job.remote === null;
    for (let failures = 0; ; ) {
      const step = await this.step(job, known ? offset : null, piece);
      if (abort.signal.aborted) return { ok: false, problem: CANCELLED };
      if (step.ok) {
        failures = 0;
        known = true;
        offset = step.value;
        this.set(job, { sent: offset });
        if (offset >= file.size) return this.described(job.remote ?? "");
        continue;
      }
      failures += 1;
      if (FINAL.has(step.problem.code) || failures >= TRIES) return step;
      known = job.remote === null;
      await this.pause(step.problem.retryAfterMs ?? PAUSE_MS * 2 ** failures);
      if (abort.signal.aborted) return { ok: false, problem: CANCELLED };
    }
  }

  /** One question: begin, where is it, or the next piece. How many bytes are there then. */
  private async step(job: Job, offset: number | null, piece: number): Promise<Outcome<number>> {
    if (job.remote === null) {
      const begun = await this.api.beginUpload(job.file.name, job.file.size);
      if (!begun.ok) return begun;
      // Cancelled meanwhile: then nobody else knows of it.
      if (job.abort.signal.aborted) void this.api.giveUpUpload(begun.value);
      job.remote = begun.value;
      return { ok: true, value: 0 };
    }
    if (offset === null) return this.api.uploadOffset(job.remote);
    return this.api.uploadPiece(job.remote, offset, job.file.slice(offset, offset + piece), job.abort.signal);
  }

  private async described(remote: string): Promise<Outcome<FileInfo>> {
    const answer = await this.api.files([remote]);
    if (!answer.ok) return answer;
    const found = answer.value[0];
    return found === undefined ? { ok: false, problem: LOST } : { ok: true, value: found.file };
  }

  private set(job: Job, change: Partial<Upload>): void {
    job.upload = { ...job.upload, ...change };
    if (this.jobs.has(job.upload.id)) this.changed();
  }

  private changed(): void {
    this.all.set([...this.jobs.values()].map((job) => job.upload));
  }
}

const CANCELLED: ProblemView = { code: "cancelled", retryAfterMs: null };
const LOST: ProblemView = { code: "file_lost", retryAfterMs: null };

/** Before a byte is sent. */
function refusal(size: number, bytesMax: number, room: number, count: number): UploadProblem | null {
  const problem = (code: string, max?: number): UploadProblem => ({ code, retryAfterMs: null, max });
  if (bytesMax === 0) return problem("files_off");
  if (room <= 0) return problem("too_many_files", count);
  if (size === 0) return problem("empty_file");
  return size > bytesMax ? problem("file_too_large", bytesMax) : null;
}
