// One WebSocket from `hello` to its end: decodes, beats, and notices silence. Knows nothing of
// coming back; that is `ChatSocket`'s part.
import { decode, encode, PROTOCOL_VERSION, SUBPROTOCOL, type ClientFrame, type Positions, type Resume, type ServerFrame } from "../protocol";
import type { CloseReason } from "./closing";

/** A WebSocket, as far as it is used here. */
export interface Wire {
  send(text: string): void;
  close(code: number): void;
}

export interface WireEvents {
  opened(): void;
  text(text: string): void;
  closed(code: number): void;
}

/** The surroundings, handed in so that tests own them. */
export interface SocketEnv {
  openWire(url: string, subprotocol: string, events: WireEvents): Wire;
  now(): number;
  /** From 0 to below 1. */
  random(): number;
  /** Answers how to call it off. */
  after(ms: number, callback: () => void): () => void;
}

export interface LinkEvents {
  frame(link: Link, frame: ServerFrame): void;
  /** Once, unless the link was dropped from this side. */
  ended(link: Link, reason: CloseReason): void;
  unknown(): void;
}

/** From opening to `welcome`; the server itself gives a client 10 s for its half. */
const WELCOME_MS = 15_000;
/** What an answer may take beyond a heartbeat before the connection counts as dead. */
const GRACE_MS = 10_000;
/** For a connection in doubt, after sleep or a change of network: long enough for a bad mobile network. */
const PROBE_MS = 5_000;

export class Link {
  private readonly wire: Wire;
  private heardAt: number;
  private quietMs = WELCOME_MS;
  private alive = true;
  private endWatch: () => void;
  private endBeat: () => void = () => {};

  constructor(
    private readonly env: SocketEnv,
    private readonly events: LinkEvents,
    private readonly pingPositions: () => Positions,
    url: string,
    /** The token it was opened with, or renewed to. */
    public token: string,
    resume: Resume | null,
  ) {
    this.heardAt = env.now();
    this.endWatch = env.after(WELCOME_MS, () => this.watch());
    this.wire = env.openWire(url, SUBPROTOCOL, {
      opened: () => {
        if (!this.alive) return;
        this.send({ type: "hello", version: PROTOCOL_VERSION, token, ...(resume === null ? {} : { resume }) });
      },
      text: (text) => this.arrived(text),
      closed: (code) => this.end({ why: "code", code }),
    });
  }

  send(frame: ClientFrame): void {
    if (this.alive) this.wire.send(encode(frame));
  }

  /** Asks for a sign of life, and takes no answer for death much sooner than a heartbeat would. */
  probe(): void {
    this.send({ type: "ping" });
    const askedAt = this.env.now();
    this.endWatch();
    this.endWatch = this.env.after(PROBE_MS, () => {
      if (this.heardAt < askedAt) this.end({ why: "silent" });
      else this.watch();
    });
  }

  /** Nothing of this link is heard any more. */
  drop(): void {
    if (!this.alive) return;
    this.stop();
    this.wire.close(1000);
  }

  private arrived(text: string): void {
    if (!this.alive) return;
    this.heardAt = this.env.now();
    const frame = decode(text);
    if (frame.type === "unknown") {
      this.events.unknown();
      return;
    }
    if (frame.type === "welcome") {
      this.quietMs = frame.heartbeatMs + GRACE_MS;
      this.endWatch();
      this.watch();
      this.beat(frame.heartbeatMs);
    }
    this.events.frame(this, frame);
  }

  private beat(everyMs: number): void {
    this.endBeat();
    this.endBeat = this.env.after(everyMs, () => {
      const positions = this.pingPositions();
      this.send(Object.keys(positions).length === 0 ? { type: "ping" } : { type: "ping", positions });
      this.beat(everyMs);
    });
  }

  /** One timer for all: it looks how much of the quiet is left instead of being set anew at each frame. */
  private watch(): void {
    const leftMs = this.heardAt + this.quietMs - this.env.now();
    if (leftMs <= 0) this.end({ why: "silent" });
    else this.endWatch = this.env.after(leftMs, () => this.watch());
  }

  private end(reason: CloseReason): void {
    if (!this.alive) return;
    this.stop();
    // Does not wait for the other side: a silent one would not answer.
    if (reason.why !== "code") this.wire.close(1000);
    this.events.ended(this, reason);
  }

  private stop(): void {
    this.alive = false;
    this.endWatch();
    this.endBeat();
  }
}
