// One room for each conversation that this page has to do with: its log, its pages, its members, and
// what of it is on screen. Knows how to load; what events mean to others it hands on.
import type { Api } from "../api";
import { membersAfter, membersWithMarker, messageStates, type MemberList, type Summary } from "../model/conversations";
import { entries } from "../model/entries";
import type { Outbox } from "../model/outbox";
import { applyEvent, applyPage, emptyLog, startReached, type Applied, type Log } from "../model/timeline";
import type { ConversationId, Member, OlderPages, Readable, Seq, Timeline, UserId } from "../model/types";
import type { LoggedEvent, MarkerOf, MemberOf } from "../protocol";
import { createStore, derive, type Store } from "../store";

export interface RoomsOptions {
  api: Api;
  me: UserId;
  summaries: Readable<ReadonlyMap<ConversationId, Summary>>;
  outbox: Readable<Outbox>;
  /** `fresh` took their place at the end of the log, in order; `seen` came, new or not. */
  applied: (room: Room, applied: { fresh: readonly LoggedEvent[]; seen: readonly LoggedEvent[]; hole: Seq | null }) => void;
  /** Somebody looks at it who has not before. */
  opened: (room: Room) => void;
}

export interface Room {
  readonly id: ConversationId;
  readonly log: Store<Log>;
  readonly older: Store<OlderPages>;
  readonly loaded: Store<boolean>;
  readonly members: Store<MemberList>;
  readonly timeline: Readable<Timeline>;
  readonly memberView: Readable<Member[]>;
  /** How many parts of the screen look at it. */
  watchers: number;
  newest: "stale" | "loading" | "fresh";
  memberList: "unknown" | "loading" | "known";
  /** Counts the fresh starts: a page that was asked for before one has no place after it. */
  life: number;
}

const MEMBER_PAGES_MAX = 20;

export class Rooms {
  private readonly rooms = new Map<ConversationId, Room>();
  private ended = false;

  constructor(private readonly options: RoomsOptions) {}

  all(): Iterable<Room> {
    return this.rooms.values();
  }

  get(id: ConversationId): Room | undefined {
    return this.rooms.get(id);
  }

  end(): void {
    this.ended = true;
  }

  room(id: ConversationId): Room {
    const found = this.rooms.get(id);
    if (found !== undefined) return found;
    const room = this.create(id);
    this.rooms.set(id, room);
    return room;
  }

  take(event: LoggedEvent): void {
    const room = this.room(event.conversation);
    this.base(room, event.seq - 1);
    this.apply(room, applyEvent(room.log.get(), event), [event]);
  }

  /** While nothing is held: what the list shows does not have to come again. */
  base(room: Room, otherwise: Seq): void {
    if (!isBlank(room.log.get()) || room.newest === "fresh") return;
    const head = this.options.summaries.get().get(room.id)?.head ?? otherwise;
    if (head > 0) room.log.set(emptyLog(head));
  }

  clear(room: Room, position: Seq): void {
    room.life += 1;
    room.log.set(emptyLog(position));
    room.older.set("more");
    room.newest = "stale";
    room.memberList = "unknown";
  }

  /** From here on, after the server gave up on what lies between, or another epoch began. */
  restart(room: Room, position: Seq): void {
    this.clear(room, position);
    if (room.watchers > 0) this.look(room);
  }

  restore(id: ConversationId, log: Log): void {
    const room = this.room(id);
    if (!isBlank(room.log.get())) return;
    room.log.set(log);
    room.loaded.set(log.run.length > 0);
    room.older.set(startReached(log) ? "start-reached" : "more");
  }

  /** Load what the screen looks at, unless it is there. */
  look(room: Room): void {
    if (room.newest === "stale") void this.loadNewest(room);
  }

  async loadOlder(room: Room): Promise<void> {
    const first = room.log.get().run[0]?.seq;
    if (first === undefined) return this.loadNewest(room);
    if (room.older.get() === "loading" || room.older.get() === "start-reached") return;
    room.older.set("loading");
    const { life } = room;
    const page = await this.options.api.events(room.id, first);
    if (this.ended || room.life !== life) return;
    if (!page.ok) {
      room.older.set("failed");
      return;
    }
    // A newest page may have put another run in its place meanwhile.
    if (room.log.get().run[0]?.seq === first) this.apply(room, applyPage(room.log.get(), page.value), page.value);
    room.older.set(page.value.length === 0 || startReached(room.log.get()) ? "start-reached" : "more");
  }

  merge(id: ConversationId, marker: MarkerOf): void {
    this.rooms.get(id)?.members.update((members) => membersWithMarker(members, marker));
  }

  private async loadNewest(room: Room): Promise<void> {
    if (room.newest === "loading") return;
    room.newest = "loading";
    if (room.older.get() === "failed") room.older.set("loading");
    const { life } = room;
    const page = await this.options.api.events(room.id);
    if (this.ended || room.life !== life) return;
    if (!page.ok) {
      room.newest = "stale";
      // What the cache had stays on screen; an empty pane with a way to try again is better than a skeleton for good.
      if (room.log.get().run.length === 0) room.older.set("failed");
      room.loaded.set(true);
      return;
    }
    this.base(room, page.value.at(-1)?.seq ?? 0);
    room.newest = "fresh";
    const applied = applyPage(room.log.get(), page.value);
    // The list may know of more than the page: then the stream owes it, or has passed it by.
    const head = this.options.summaries.get().get(room.id)?.head ?? 0;
    const behind = applied.log.position < head ? applied.log.position : null;
    this.apply(room, { ...applied, hole: applied.hole ?? behind }, page.value);
    room.older.set(page.value.length === 0 || startReached(room.log.get()) ? "start-reached" : "more");
    room.loaded.set(true);
  }

  private apply(room: Room, { log, fresh, hole }: Applied, seen: readonly LoggedEvent[]): void {
    room.log.set(log);
    if (room.memberList === "known") room.members.update((members) => fresh.reduce(membersAfter, members));
    this.options.applied(room, { fresh, seen, hole });
  }

  private async loadMembers(room: Room): Promise<void> {
    if (room.memberList !== "unknown") return;
    room.memberList = "loading";
    const { life } = room;
    const all = new Map<UserId, MemberOf>();
    let after: UserId | undefined;
    for (let page = 0; page < MEMBER_PAGES_MAX; page += 1) {
      const answer = await this.options.api.members(room.id, after);
      if (this.ended || room.life !== life) return;
      if (!answer.ok) {
        room.memberList = "unknown";
        return;
      }
      for (const member of answer.value) all.set(member.user, member);
      const last = answer.value.at(-1)?.user;
      if (last === undefined || last === after) break;
      after = last;
    }
    room.members.set(all);
    room.memberList = "known";
  }

  private create(id: ConversationId): Room {
    const { me, summaries, outbox, opened } = this.options;
    const log = createStore<Log>(emptyLog(0));
    const older = createStore<OlderPages>("more");
    const loaded = createStore(false);
    const members = createStore<MemberList>(new Map());
    // Its own source: what happens in other conversations does not make this one look at itself.
    const listed = derive<Summary | null>([summaries], () => summaries.get().get(id) ?? null);
    const view = derive<Timeline>([log, older, loaded, listed, outbox], (previous) => {
      const summary = listed.get();
      const next: Timeline = {
        entries: entries(
          {
            run: log.get().run,
            pending: outbox.get().filter((send) => send.conversation === id),
            me,
            stateOf: messageStates(summary),
          },
          previous?.entries ?? [],
        ),
        older: older.get(),
        loaded: loaded.get(),
        read: summary?.read ?? 0,
        head: Math.max(summary?.head ?? 0, log.get().position),
      };
      return previous !== null && sameTimeline(previous, next) ? previous : next;
    });
    const memberView = derive<Member[]>([members], () =>
      [...members.get().values()].map(({ user, role, received, read }) => ({ user, role, marker: { received, read } })),
    );
    const room: Room = {
      id,
      log,
      older,
      loaded,
      members,
      watchers: 0,
      newest: "stale",
      memberList: "unknown",
      life: 0,
      timeline: {
        get: view.get,
        subscribe: (listener) => {
          const end = view.subscribe(listener);
          room.watchers += 1;
          if (room.watchers === 1) {
            opened(room);
            this.look(room);
          }
          return () => {
            room.watchers -= 1;
            end();
          };
        },
      },
      memberView: {
        get: memberView.get,
        subscribe: (listener) => {
          void this.loadMembers(room);
          return memberView.subscribe(listener);
        },
      },
    };
    return room;
  }
}

function isBlank(log: Log): boolean {
  return log.position === 0 && log.run.length === 0 && log.ahead.length === 0;
}

function sameTimeline(a: Timeline, b: Timeline): boolean {
  const { entries: before } = a;
  const same = before.length === b.entries.length && b.entries.every((entry, index) => entry === before[index]);
  return same && a.older === b.older && a.loaded === b.loaded && a.read === b.read && a.head === b.head;
}
