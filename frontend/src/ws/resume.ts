// What the next connection has to say so that nothing is missed: the server's epoch, its last token,
// and the positions reached since the token before. Knows nothing of connections.
import { conversationId, type Positions, type Resume } from "../protocol";
import type { ConversationId, Seq } from "../model/types";

export class ResumePoint {
  private epoch: string | null;
  private token: string | null;
  /** Reached since the present token came. */
  private positions: Map<ConversationId, Seq>;
  /** Reached while the token before it was the present one: a token may be a few seconds old. */
  private before = new Map<ConversationId, Seq>();

  constructor(stored: Resume | null) {
    this.epoch = stored?.epoch ?? null;
    this.token = stored?.token ?? null;
    this.positions = new Map(stored === null ? [] : entries(stored.positions));
  }

  /** Of another epoch nothing holds any more. */
  enter(epoch: string): void {
    if (epoch === this.epoch) return;
    this.epoch = epoch;
    this.token = null;
    this.positions.clear();
    this.before.clear();
  }

  reached(conversation: ConversationId, seq: Seq): void {
    this.positions.set(conversation, seq);
  }

  left(conversation: ConversationId): void {
    this.positions.delete(conversation);
    this.before.delete(conversation);
  }

  /**
   * A connection begins with this token. Who has one keeps it: another node may have looked at the
   * heads before that one was issued, and what it covers is forgotten.
   */
  begin(token: string): void {
    this.token ??= token;
  }

  /**
   * The token stands for the head of every conversation at a moment after the one before was issued
   * on the same connection: what was reached while the last one was current is kept once more, so
   * that a resume is exact.
   */
  replace(token: string): void {
    // Said again, it speaks of the same moment.
    if (token === this.token) return;
    this.token = token;
    this.before = this.positions;
    this.positions = new Map();
  }

  /**
   * Where something before the head is known to be missing, the token would skip it: those positions
   * are named always, and first. Any other one above `max` costs a repetition, never a loss.
   */
  toResume(holes: Positions, max: number): Resume | null {
    if (this.epoch === null) return null;
    const all = new Map([...entries(holes), ...this.before, ...this.positions]);
    const positions: Positions = {};
    for (const [conversation, seq] of [...all].slice(0, max)) positions[conversation] = seq;
    return { epoch: this.epoch, ...(this.token === null ? {} : { token: this.token }), positions };
  }
}

function entries(positions: Positions): [ConversationId, Seq][] {
  const out: [ConversationId, Seq][] = [];
  for (const name in positions) {
    const conversation = conversationId(name);
    const seq = conversation === null ? undefined : positions[conversation];
    if (conversation !== null && seq !== undefined) out.push([conversation, seq]);
  }
  return out;
}
