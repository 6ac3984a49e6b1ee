// Own markers on their way to the server: gathered, at most one frame a second for a conversation,
// and kept until the connection is known to have carried them.
import type { ConversationId, Marker, Seq } from "../model/types";
import type { ClientFrame } from "../protocol";

type Mark = Partial<Marker>;

const EVERY_MS = 1_000;
/** A long absence ends in many marks at once; the server should not take that for a flood. */
const AT_ONCE_MAX = 20;

export class Marks {
  private readonly waiting = new Map<ConversationId, Mark>();
  /** Written, and not yet followed by a sign that the server has got there. */
  private readonly written = new Map<ConversationId, Mark>();
  private cancel: (() => void) | null = null;
  private connected = false;

  constructor(
    private readonly after: (ms: number, callback: () => void) => () => void,
    private readonly write: (frame: ClientFrame) => boolean,
  ) {}

  received(conversation: ConversationId, seq: Seq): void {
    this.add(this.waiting, conversation, { received: seq });
    this.soon();
  }

  read(conversation: ConversationId, seq: Seq): void {
    this.add(this.waiting, conversation, { read: seq });
    this.soon();
  }

  connect(): void {
    this.connected = true;
    // Marks only grow, so that one which did arrive is harmless to repeat.
    for (const [conversation, mark] of this.written) this.add(this.waiting, conversation, mark);
    this.written.clear();
    this.soon();
  }

  disconnect(): void {
    this.connected = false;
    this.stop();
  }

  /** A pong came: what was written before it has arrived. */
  confirmed(): void {
    this.written.clear();
  }

  stop(): void {
    this.cancel?.();
    this.cancel = null;
  }

  /** The first at once, the next ones with the next second. */
  private soon(): void {
    if (this.connected && this.cancel === null && this.waiting.size > 0) this.flush();
  }

  private flush(): void {
    for (const [conversation, mark] of [...this.waiting].slice(0, AT_ONCE_MAX)) {
      if (!this.write({ type: "mark", conversation, ...mark })) break;
      this.waiting.delete(conversation);
      this.add(this.written, conversation, mark);
    }
    this.cancel = this.after(EVERY_MS, () => {
      this.cancel = null;
      this.soon();
    });
  }

  private add(to: Map<ConversationId, Mark>, conversation: ConversationId, mark: Mark): void {
    const before = to.get(conversation) ?? {};
    const received = larger(before.received, mark.received);
    const read = larger(before.read, mark.read);
    to.set(conversation, { ...(received === undefined ? {} : { received }), ...(read === undefined ? {} : { read }) });
  }
}

function larger(a: Seq | undefined, b: Seq | undefined): Seq | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.max(a, b);
}
