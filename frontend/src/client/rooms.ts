// One room for each conversation that this page has to do with: its log, its pages, its members, and
// what of it is on screen. Knows how to load; what events mean to others it hands on.
import { PAGE, type Api } from "../api";
import { membersAfter, membersWithMarker, messageStates, type MemberList, type Summary } from "../model/conversations";
import type { Amendments } from "../model/amendments";
import { entries, held } from "../model/entries";
import { fold } from "../model/fold";
import type { Outbox } from "../model/outbox";
import { pinnedNow } from "../model/pins";
import { said as inWords } from "../model/said";
import { NOT_HERE, TOO_FAR_BACK, UNREACHABLE } from "../model/problems";
import { applyEvent, applyPage, emptyLog, startReached, type Applied, type Log } from "../model/timeline";
import type { ConversationId, Member, OlderPages, Outcome, Pins, Quote, Readable, Seq, Timeline, UserId, Version } from "../model/types";
import type { LoggedEvent, MarkerOf, MemberOf, PageBody } from "../protocol";
import { createStore, derive, type Store } from "../store";

export interface RoomsOptions {
  api: Api;
  me: UserId;
  summaries: Readable<ReadonlyMap<ConversationId, Summary>>;
  outbox: Readable<Outbox>;
  /** Changes of messages that are on their way. */
  amendments: Readable<Amendments>;
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
  /** Messages that are quoted and older than the run. */
  readonly quoted: Store<ReadonlyMap<Seq, Quote>>;
  readonly timeline: Readable<Timeline>;
  readonly pins: Readable<Pins>;
  readonly versions: (message: Seq) => readonly Version[];
  readonly memberView: Readable<Member[]>;
  /** How many parts of the screen look at it. */
  watchers: number;
  newest: "stale" | "loading" | "fresh";
  memberList: "unknown" | "loading" | "known";
  readonly pinPage: Store<PageBody | "loading" | "failed">;
  pinWatchers: number;
  pinsLoading: boolean;
  /** How often older pages came: whoever keeps reading up gets more at once. */
  olderLoads: number;
  /** The older page that is on its way. */
  olderPage: Promise<void> | null;
  /** Quoted messages that were asked for. */
  readonly asked: Set<Seq>;
  /** Counts the fresh starts: a page that was asked for before one has no place after it. */
  life: number;
}

const MEMBER_PAGES_MAX = 20;
/** Older pages asked for at once, and after how many loads it is one more: each load looks at everything that is held. */
const OLDER_PAGES_MAX = 16;
const OLDER_PAGES_GROW = 3;
/** How far back a jump goes: some four thousand events are a few seconds. */
const REACH_LOADS_MAX = 20;

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
    room.quoted.set(new Map());
    room.asked.clear();
    room.olderPage = null;
    room.olderLoads = 0;
    if (room.pinWatchers > 0) void this.loadPins(room);
    else room.pinPage.set("loading");
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

  loadOlder(room: Room): Promise<void> {
    room.olderPage ??= this.fetchOlder(room).finally(() => {
      room.olderPage = null;
    });
    return room.olderPage;
  }

  /** Until the message is held. */
  async reach(room: Room, message: Seq): Promise<Outcome<null>> {
    for (let page = 0; page < REACH_LOADS_MAX; page += 1) {
      if (held(room.log.get().run, message) !== undefined) return { ok: true, value: null };
      const first = room.log.get().run[0]?.seq;
      if (room.older.get() === "start-reached" || (first !== undefined && message > first)) return { ok: false, problem: NOT_HERE };
      await this.loadOlder(room);
      if (this.ended) return { ok: false, problem: NOT_HERE };
      if (room.older.get() === "failed") return { ok: false, problem: UNREACHABLE };
    }
    return { ok: false, problem: TOO_FAR_BACK };
  }

  private async fetchOlder(room: Room): Promise<void> {
    const first = room.log.get().run[0]?.seq;
    if (first === undefined) return this.loadNewest(room);
    if (room.older.get() === "loading" || room.older.get() === "start-reached") return;
    room.older.set("loading");
    const { life } = room;
    // The numbers have no gaps, so that several pages can be asked for at once.
    const pages = Math.min(OLDER_PAGES_MAX, 1 + Math.floor(room.olderLoads / OLDER_PAGES_GROW));
    const ends = Array.from({ length: pages }, (_, page) => first - page * PAGE).filter((before) => before > 1);
    const answers = await Promise.all(ends.map((before) => this.options.api.events(room.id, before)));
    if (this.ended || room.life !== life) return;
    room.olderLoads += 1;
    // From the newest of them on, as far as they came.
    const failed = answers.findIndex((answer) => !answer.ok);
    const came = failed === -1 ? answers : answers.slice(0, failed);
    const events = came.flatMap((answer) => (answer.ok ? [answer.value] : [])).reverse().flat();
    // A newest page may have put another run in its place meanwhile.
    if (room.log.get().run[0]?.seq === first) this.apply(room, applyPage(room.log.get(), events), events);
    if (failed !== -1) room.older.set("failed");
    else room.older.set(events.length === 0 || startReached(room.log.get()) ? "start-reached" : "more");
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
    if (room.watchers > 0) this.wantQuoted(room);
    this.checkPins(room);
  }

  /** What is answered and not held: asked for once each, one by one. */
  private wantQuoted(room: Room): void {
    const { run } = room.log.get();
    for (const { event } of run) {
      if (event.type !== "message" || event.replyTo === undefined || room.asked.has(event.replyTo)) continue;
      if (held(run, event.replyTo) !== undefined) continue;
      room.asked.add(event.replyTo);
      void this.loadQuoted(room, event.replyTo);
    }
  }

  private async loadQuoted(room: Room, seq: Seq): Promise<void> {
    const { life } = room;
    const page = await this.options.api.around(room.id, seq);
    if (this.ended || room.life !== life) return;
    if (!page.ok) {
      room.asked.delete(seq);
      return;
    }
    const found = page.value.messages.find((message) => message.seq === seq);
    const quote: Quote =
      found?.event.type === "message"
        ? { seq, from: found.from, text: inWords(found.event), state: "said" }
        : { seq, from: null, text: "", state: "deleted" };
    room.quoted.update((quoted) => new Map(quoted).set(seq, quote));
  }

  private async loadPins(room: Room): Promise<void> {
    if (room.pinsLoading) return;
    room.pinsLoading = true;
    if (room.pinPage.get() === "failed") room.pinPage.set("loading");
    const page = await this.options.api.pinned(room.id);
    room.pinsLoading = false;
    if (this.ended) return;
    if (page.ok) room.pinPage.set(page.value);
    else if (room.pinPage.get() === "loading") room.pinPage.set("failed");
  }

  private checkPins(room: Room): void {
    const page = room.pinPage.get();
    if (room.pinWatchers === 0 || page === "loading" || page === "failed") return;
    const { run } = room.log.get();
    if (pinnedNow(page, run, fold(run, [], this.options.me)).stale) void this.loadPins(room);
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
    const { me, summaries, outbox, amendments, opened } = this.options;
    const log = createStore<Log>(emptyLog(0));
    const older = createStore<OlderPages>("more");
    const loaded = createStore(false);
    const members = createStore<MemberList>(new Map());
    // Its own source: what happens in other conversations does not make this one look at itself.
    const listed = derive<Summary | null>([summaries], () => summaries.get().get(id) ?? null);
    const quoted = createStore<ReadonlyMap<Seq, Quote>>(new Map());
    const pinPage = createStore<PageBody | "loading" | "failed">("loading");
    const folded = derive([log, amendments], () =>
      fold(log.get().run, amendments.get().filter((each) => each.conversation === id), me),
    );
    const view = derive<Timeline>([log, older, loaded, listed, outbox, folded, quoted], (previous) => {
      const summary = listed.get();
      const next: Timeline = {
        entries: entries(
          {
            run: log.get().run,
            pending: outbox.get().filter((send) => send.conversation === id),
            me,
            stateOf: messageStates(summary),
            folded: folded.get(),
            quoted: quoted.get(),
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
    const pinView = derive<Pins>([pinPage, log, folded], () => {
      const page = pinPage.get();
      if (page === "loading" || page === "failed") return { state: page, messages: [] };
      return { state: "ready", messages: pinnedNow(page, log.get().run, folded.get()).messages };
    });
    const room: Room = {
      id,
      log,
      quoted,
      pinPage,
      pinWatchers: 0,
      pinsLoading: false,
      olderLoads: 0,
      olderPage: null,
      asked: new Set(),
      versions: (message) => {
        const said = held(log.get().run, message);
        if (said?.event.type !== "message") return [];
        return [{ text: said.event.text, at: said.at }, ...(folded.get().get(message)?.edits ?? [])];
      },
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
            this.wantQuoted(room);
          }
          return () => {
            room.watchers -= 1;
            end();
          };
        },
      },
      pins: {
        get: pinView.get,
        subscribe: (listener) => {
          const end = pinView.subscribe(listener);
          room.pinWatchers += 1;
          if (room.pinWatchers === 1) void this.loadPins(room);
          return () => {
            room.pinWatchers -= 1;
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
