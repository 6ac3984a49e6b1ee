// The connection that lasts: opens, resumes, moves to another node, and knows when to stay away.
// Knows neither React nor the DOM, and not what the frames mean to a chat.
import type { ConversationId, Readable, Seq } from "./model/types";
import { assertNever } from "./model/assertNever";
import type { ClientFrame, Positions, Resume, ServerFrame } from "./protocol";
import { createStore } from "./store";
import { backoffMs, remedy, type CloseReason, type Remedy } from "./ws/closing";
import { Link, type SocketEnv } from "./ws/link";
import { ResumePoint } from "./ws/resume";

export type { CloseReason } from "./ws/closing";
export type { SocketEnv, Wire, WireEvents } from "./ws/link";

export type Welcome = Extract<ServerFrame, { type: "welcome" }>;

export type ConnectionState =
  | { at: "idle" }
  /** `attempt` counts the failures before this one. */
  | { at: "connecting"; attempt: number; since: number }
  | { at: "open"; since: number; welcome: Welcome }
  | { at: "waiting"; attempt: number; retryAt: number; because: CloseReason }
  /** Coming back by itself would not help. */
  | { at: "closed"; because: CloseReason };

/** `refused`: the old token does not hold, and asking again will not help. */
export type Renewal = { at: "renewed"; token: string } | { at: "refused" } | { at: "unreachable" };

export interface ChatSocketOptions {
  url: string;
  token: () => string | null;
  renew: (stale: string) => Promise<Renewal>;
  /** The positions of conversations in which something before the head is known to be missing. */
  holes: () => Positions;
  /** What a heartbeat shall have checked; at most 100 are sent. */
  pingPositions: () => Positions;
  env: SocketEnv;
}

/** Moving to another node while this one still works. */
type Move =
  | { at: "none" }
  | { at: "told"; cancel: () => void }
  | { at: "opening"; link: Link; failures: number; welcome: Welcome | null }
  /** The last try failed; this node still works, so there is no haste. */
  | { at: "failed"; failures: number; cancel: () => void }
  /** The new link is in use; the old one may still owe answers. */
  | { at: "leaving"; old: Link; cancel: () => void };

type Phase =
  | { at: "idle" }
  | { at: "renewing"; attempt: number; because: CloseReason }
  | { at: "connecting"; attempt: number; link: Link }
  | { at: "open"; attempt: number; link: Link; since: number; move: Move }
  | { at: "waiting"; attempt: number; because: CloseReason; cancel: () => void }
  | { at: "closed" };

/** A connection that held this long was a good one: the back-off starts again. */
const SETTLED_MS = 30_000;
const PING_POSITIONS_MAX = 100;
/** Until the server has said its own limit. */
const POSITIONS_MAX = 1_000;
const RENEW_AGAIN_MS = 5_000;
/** How long the old node gets to answer what it still owes. */
const LEAVE_MS = 3_000;

export class ChatSocket {
  private phase: Phase = { at: "idle" };
  private readonly published = createStore<ConnectionState>({ at: "idle" });
  private readonly listeners = new Set<(frame: ServerFrame) => void>();
  private point = new ResumePoint(null);
  private positionsMax = POSITIONS_MAX;
  private auths = 0;
  /** Frames that this client does not understand, for the curious. */
  unknownFrames = 0;

  readonly state: Readable<ConnectionState> = this.published;

  constructor(private readonly options: ChatSocketOptions) {}

  /** Where an earlier page stopped; before the first `connect`. */
  restore(resume: Resume): void {
    this.point = new ResumePoint(resume);
  }

  connect(): void {
    if (this.phase.at === "idle" || this.phase.at === "closed") this.open(0);
  }

  /** Ends it without a way back, until `connect`. */
  close(): void {
    this.dropAll();
    this.enter({ at: "idle" }, { at: "idle" });
  }

  /** False where there is no connection; whoever needs the frame sent keeps it. */
  send(frame: ClientFrame): boolean {
    if (this.phase.at !== "open") return false;
    this.phase.link.send(frame);
    return true;
  }

  onFrame(listener: (frame: ServerFrame) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /** The device now holds everything of this conversation up to here. */
  reached(conversation: ConversationId, seq: Seq): void {
    this.point.reached(conversation, seq);
  }

  left(conversation: ConversationId): void {
    this.point.left(conversation);
  }

  resume(): Resume | null {
    return this.point.toResume(this.options.holes(), this.positionsMax);
  }

  /** The browser says that the network is gone. An open WebSocket would only go silent, so it is not waited for. */
  offline(): void {
    if (this.phase.at === "open" || this.phase.at === "connecting") {
      this.dropAll();
      this.lost({ why: "offline" });
    }
  }

  /** The network is back, the page is looked at again, or a person pressed the button. */
  retryNow(): void {
    switch (this.phase.at) {
      case "waiting": {
        const { attempt, because, cancel } = this.phase;
        cancel();
        this.again(attempt, because);
        break;
      }
      case "open":
        this.phase.link.probe();
        break;
      case "idle":
      case "renewing":
      case "connecting":
      case "closed":
        break;
      default:
        assertNever(this.phase);
    }
  }

  // ---- opening and losing ----

  private open(attempt: number): void {
    const token = this.options.token();
    if (token === null) {
      this.stay({ why: "no-credential" });
      return;
    }
    const link = this.dial(token);
    this.enter({ at: "connecting", attempt, link }, { at: "connecting", attempt, since: this.options.env.now() });
  }

  private dial(token: string): Link {
    const positions = () => first(this.options.pingPositions(), PING_POSITIONS_MAX);
    const events = {
      frame: (link: Link, frame: ServerFrame) => this.arrived(link, frame),
      ended: (link: Link, reason: CloseReason) => this.ended(link, reason),
      unknown: () => void (this.unknownFrames += 1),
    };
    return new Link(this.options.env, events, positions, this.options.url, token, this.resume());
  }

  private ended(link: Link, reason: CloseReason): void {
    const { phase } = this;
    if (phase.at === "connecting" && phase.link === link) this.lost(reason);
    if (phase.at !== "open") return;
    if (phase.link === link) {
      if (phase.move.at === "opening") this.promote(phase.move);
      else {
        this.endMove(phase.move);
        this.lost(reason, link.token);
      }
    } else if (phase.move.at === "opening" && phase.move.link === link) {
      const failures = phase.move.failures + 1;
      const cancel = this.options.env.after(this.waitMs(failures, remedy(reason)), () => this.moveOut(phase.link, failures));
      this.setMove(phase, { at: "failed", failures, cancel });
    } else if (phase.move.at === "leaving" && phase.move.old === link) {
      phase.move.cancel();
      this.setMove(phase, { at: "none" });
    }
  }

  /** The old node is gone before the new one has caught up: what is on its way there is the connection now. */
  private promote(move: Extract<Move, { at: "opening" }>): void {
    const { link, failures: attempt, welcome } = move;
    const since = this.options.env.now();
    if (welcome === null) this.enter({ at: "connecting", attempt, link }, { at: "connecting", attempt, since });
    else this.enter({ at: "open", attempt, link, since, move: { at: "none" } }, { at: "open", since, welcome });
  }

  private lost(reason: CloseReason, token?: string): void {
    const { phase } = this;
    const settled = phase.at === "open" && this.options.env.now() - phase.since >= SETTLED_MS;
    const before = "attempt" in phase && !settled ? phase.attempt : 0;
    const what = remedy(reason);
    switch (what) {
      case "sign-in":
      case "update":
      case "stop":
        this.stay(reason);
        break;
      case "renew":
        // Another tab may have renewed it already.
        if (token !== undefined && this.options.token() !== token) this.wait(before + 1, { why: "code", code: 1006 }, "at-once");
        else this.renew(before + 1, reason);
        break;
      case "resume":
      case "at-once":
      case "slowly":
        this.wait(before + 1, reason, what);
        break;
      default:
        assertNever(what);
    }
  }

  private wait(attempt: number, because: CloseReason, what: Remedy): void {
    const waitMs = this.waitMs(attempt, what);
    const cancel = this.options.env.after(waitMs, () => this.again(attempt, because));
    const retryAt = this.options.env.now() + waitMs;
    this.enter({ at: "waiting", attempt, because, cancel }, { at: "waiting", attempt, retryAt, because });
  }

  private again(attempt: number, because: CloseReason): void {
    if (remedy(because) === "renew") this.renew(attempt, because);
    else this.open(attempt);
  }

  private renew(attempt: number, because: CloseReason): void {
    const stale = this.options.token();
    if (stale === null) {
      this.stay({ why: "no-credential" });
      return;
    }
    const phase: Phase = { at: "renewing", attempt, because };
    this.enter(phase, { at: "connecting", attempt, since: this.options.env.now() });
    void this.options.renew(stale).then((renewal) => {
      if (this.phase !== phase) return;
      switch (renewal.at) {
        case "renewed":
          this.open(attempt);
          break;
        case "refused":
          this.stay(because);
          break;
        case "unreachable":
          this.wait(attempt + 1, because, "resume");
          break;
        default:
          assertNever(renewal);
      }
    });
  }

  private stay(because: CloseReason): void {
    this.enter({ at: "closed" }, { at: "closed", because });
  }

  // ---- what arrives ----

  private arrived(link: Link, frame: ServerFrame): void {
    const role = this.roleOf(link);
    if (role === "stranger") return;
    if (frame.type === "synced" && frame.token !== null) this.point.begin(frame.token);
    // Of two connections each knows only what it brought itself.
    if (frame.type === "pong" && frame.token !== null && !this.hasTwoLinks()) this.point.replace(frame.token);
    if (frame.type === "welcome") this.welcomed(link, frame);
    if (frame.type === "drain" && role === "main") this.drain(frame.afterMs);
    if (frame.type === "expiring" && role !== "old") this.renewLive(link);
    if (frame.type === "synced" && role === "next") this.moved(link);
    if (frame.type === "pong" && role === "old") this.leave();
    for (const listener of [...this.listeners]) listener(frame);
  }

  private roleOf(link: Link): "main" | "next" | "old" | "stranger" {
    const { phase } = this;
    if (phase.at === "connecting") return phase.link === link ? "main" : "stranger";
    if (phase.at !== "open") return "stranger";
    if (phase.link === link) return "main";
    if (phase.move.at === "opening" && phase.move.link === link) return "next";
    if (phase.move.at === "leaving" && phase.move.old === link) return "old";
    return "stranger";
  }

  private hasTwoLinks(): boolean {
    const { phase } = this;
    return phase.at === "open" && (phase.move.at === "opening" || phase.move.at === "leaving");
  }

  private welcomed(link: Link, welcome: Welcome): void {
    this.point.enter(welcome.epoch);
    this.positionsMax = welcome.limits.positionsMax;
    const { phase } = this;
    if (phase.at === "open" && phase.move.at === "opening" && phase.move.link === link) {
      this.setMove(phase, { ...phase.move, welcome });
    }
    if (phase.at !== "connecting" || phase.link !== link) return;
    const since = this.options.env.now();
    const { attempt } = phase;
    this.enter({ at: "open", attempt, link, since, move: { at: "none" } }, { at: "open", since, welcome });
  }

  /** The credential of the live connection, renewed in place. */
  private renewLive(link: Link): void {
    const stale = link.token;
    const show = (token: string): void => {
      link.token = token;
      this.auths += 1;
      link.send({ type: "auth", id: `auth-${this.auths}`, token });
    };
    const present = this.options.token();
    if (present !== null && present !== stale) {
      show(present);
      return;
    }
    void this.options.renew(stale).then((renewal) => {
      if (this.roleOf(link) === "stranger") return;
      // Refused: the server closes with the reason, and that is what the person is told.
      if (renewal.at === "renewed") show(renewal.token);
      else if (renewal.at === "unreachable") {
        this.options.env.after(RENEW_AGAIN_MS, () => {
          if (this.roleOf(link) !== "stranger") this.renewLive(link);
        });
      }
    });
  }

  // ---- moving to another node ----

  private drain(afterMs: number): void {
    const { phase } = this;
    if (phase.at !== "open" || (phase.move.at !== "none" && phase.move.at !== "leaving")) return;
    this.endMove(phase.move);
    const cancel = this.options.env.after(afterMs, () => this.moveOut(phase.link, 0));
    this.setMove(phase, { at: "told", cancel });
  }

  private moveOut(from: Link, failures: number): void {
    const { phase } = this;
    if (phase.at !== "open" || phase.link !== from) return;
    const token = this.options.token() ?? from.token;
    this.setMove(phase, { at: "opening", link: this.dial(token), failures, welcome: null });
  }

  /** The new connection has caught up: from here on it is the one, and the old one only finishes its answers. */
  private moved(next: Link): void {
    const { phase } = this;
    if (phase.at !== "open") return;
    const old = phase.link;
    const cancel = this.options.env.after(LEAVE_MS, () => this.leave());
    this.phase = { ...phase, link: next, move: { at: "leaving", old, cancel } };
    // Its pong comes behind every answer that it owes.
    old.send({ type: "ping" });
  }

  private leave(): void {
    const { phase } = this;
    if (phase.at !== "open" || phase.move.at !== "leaving") return;
    this.endMove(phase.move);
    this.setMove(phase, { at: "none" });
  }

  private setMove(phase: Extract<Phase, { at: "open" }>, move: Move): void {
    this.phase = { ...phase, move };
  }

  private endMove(move: Move): void {
    switch (move.at) {
      case "none":
        break;
      case "told":
      case "failed":
        move.cancel();
        break;
      case "opening":
        move.link.drop();
        break;
      case "leaving":
        move.cancel();
        move.old.drop();
        break;
      default:
        assertNever(move);
    }
  }

  private dropAll(): void {
    const { phase } = this;
    switch (phase.at) {
      case "waiting":
        phase.cancel();
        break;
      case "connecting":
        phase.link.drop();
        break;
      case "open":
        this.endMove(phase.move);
        phase.link.drop();
        break;
      case "idle":
      case "renewing":
      case "closed":
        break;
      default:
        assertNever(phase);
    }
  }

  private waitMs(attempt: number, what: Remedy): number {
    return backoffMs(attempt, what, this.options.env.random());
  }

  private enter(phase: Phase, state: ConnectionState): void {
    this.phase = phase;
    this.published.set(state);
  }
}

function first(positions: Positions, max: number): Positions {
  return Object.fromEntries(Object.entries(positions).slice(0, max));
}
