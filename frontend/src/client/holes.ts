// Which conversations are behind, and asking for what is missing. Knows how far each log should
// reach; what arrives is none of its business.
import type { Summary } from "../model/conversations";
import type { ConversationId, Readable, Seq } from "../model/types";
import type { ClientFrame, Positions } from "../protocol";
import type { Room, Rooms } from "./rooms";

export interface HolesOptions {
  rooms: Rooms;
  summaries: Readable<ReadonlyMap<ConversationId, Summary>>;
  now: () => number;
  write: (frame: ClientFrame) => boolean;
}

/** A `sync` that got no further in this time is asked for again when the hole shows the next time. */
const SYNC_AGAIN_MS = 10_000;
const VERIFY_MAX = 100;

export class Holes {
  /** There are events up to here, and something before is missing. */
  private readonly expected = new Map<ConversationId, Seq>();
  private readonly asked = new Map<ConversationId, number>();
  private active = new Set<ConversationId>();
  private activeBefore = new Set<ConversationId>();

  constructor(private readonly options: HolesOptions) {}

  /** Something up to `seq` exists and is not held. */
  found(room: Room, seq: Seq): void {
    this.expected.set(room.id, Math.max(this.expected.get(room.id) ?? 0, seq));
    this.ask(room);
  }

  reached(room: Room): void {
    if ((this.expected.get(room.id) ?? 0) <= room.log.get().position) this.forget(room.id);
  }

  happened(id: ConversationId): void {
    this.active.add(id);
  }

  forget(id: ConversationId): void {
    this.expected.delete(id);
    this.asked.delete(id);
  }

  forgetAll(): void {
    this.expected.clear();
    this.asked.clear();
  }

  /** What was asked for on a connection ends with it; the next one resumes at the holes. */
  disconnect(): void {
    this.asked.clear();
  }

  /** Between the list over HTTP and the start of the stream something may have happened: ask. */
  verify(): void {
    const positions: Positions = {};
    const all = [...this.options.summaries.get().values()];
    for (const { id, head } of all.sort((a, b) => b.updatedAt - a.updatedAt).slice(0, VERIFY_MAX)) {
      positions[id] = this.position(id) || head;
    }
    if (all.length > 0) this.options.write({ type: "ping", positions });
  }

  compare(heads: Positions): void {
    for (const summary of this.options.summaries.get().values()) {
      const head = heads[summary.id];
      if (head === undefined) continue;
      const room = this.options.rooms.room(summary.id);
      this.options.rooms.base(room, summary.head);
      if (head > room.log.get().position) this.found(room, head);
    }
  }

  /** Named at every resume: the server's token would skip them. */
  positions(): Positions {
    const holes: Positions = {};
    for (const id of this.expected.keys()) holes[id] = this.position(id);
    return holes;
  }

  /** What a heartbeat has checked: holes, what is on screen, and where something happened lately. */
  pingPositions(): Positions {
    const positions = this.positions();
    const looked = [...this.options.rooms.all()].filter((room) => room.watchers > 0).map((room) => room.id);
    for (const id of [...looked, ...this.active, ...this.activeBefore]) {
      const position = this.position(id);
      if (position > 0) positions[id] = position;
    }
    // An event that was lost on the way left no trace here; its predecessor of one beat ago did.
    this.activeBefore = this.active;
    this.active = new Set();
    return positions;
  }

  private ask(room: Room): void {
    const now = this.options.now();
    const before = this.asked.get(room.id);
    if (before !== undefined && now - before < SYNC_AGAIN_MS) return;
    const after = room.log.get().position;
    if (this.options.write({ type: "sync", conversation: room.id, after })) this.asked.set(room.id, now);
  }

  private position(id: ConversationId): Seq {
    return this.options.rooms.get(id)?.log.get().position ?? 0;
  }
}
