// A WebSocket whose other end is the test.
import type { ClientFrame } from "../protocol";
import type { SocketEnv, Wire, WireEvents } from "../ws";
import type { FakeClock } from "./fakeClock";
import { decodeClient } from "./frames";

export class FakeSocket implements Wire {
  readonly sent: ClientFrame[] = [];
  /** The code this side closed with; null while it has not. */
  closedWith: number | null = null;
  onSent: (frame: ClientFrame) => void = () => {};
  onClosed: () => void = () => {};

  constructor(
    readonly url: string,
    readonly subprotocol: string,
    private readonly events: WireEvents,
  ) {}

  send(text: string): void {
    const frame = decodeClient(text);
    this.sent.push(frame);
    this.onSent(frame);
  }

  close(code: number): void {
    this.closedWith ??= code;
    this.onClosed();
  }

  opens(): void {
    this.events.opened();
  }

  says(frame: object): void {
    this.events.text(JSON.stringify(frame));
  }

  saysRaw(text: string): void {
    this.events.text(text);
  }

  ends(code: number): void {
    this.events.closed(code);
  }

  /** What was sent of one kind. */
  of<T extends ClientFrame["type"]>(type: T): Extract<ClientFrame, { type: T }>[] {
    return this.sent.filter((frame): frame is Extract<ClientFrame, { type: T }> => frame.type === type);
  }
}

export class FakeNetwork {
  readonly sockets: FakeSocket[] = [];
  random = 1;
  onOpen: (socket: FakeSocket) => void = () => {};

  constructor(readonly clock: FakeClock) {}

  get env(): SocketEnv {
    return {
      now: this.clock.now,
      after: this.clock.after,
      random: () => this.random,
      openWire: (url, subprotocol, events) => {
        const socket = new FakeSocket(url, subprotocol, events);
        this.sockets.push(socket);
        this.onOpen(socket);
        return socket;
      },
    };
  }

  get last(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new Error("nothing was opened");
    return socket;
  }
}

export const LIMITS = {
  frame_bytes_max: 65536,
  text_bytes_max: 16384,
  text_chars_max: 8000,
  commands_in_flight_max: 32,
  sends_per_second: 20,
  sends_burst: 60,
  positions_max: 1000,
  watch_max: 200,
  file_bytes_max: 104857600,
  files_per_message_max: 10,
};

export function welcome(changes: object = {}): object {
  return {
    type: "welcome",
    version: 1,
    session: "s1",
    user: "u_7",
    epoch: "e1",
    resumed: true,
    heartbeat_ms: 25000,
    typing_ms: 3000,
    limits: LIMITS,
    ...changes,
  };
}
