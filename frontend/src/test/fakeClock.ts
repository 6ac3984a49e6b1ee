// Time that stands still until a test moves it. Timers fire in the order they are due.
interface Timer {
  due: number;
  order: number;
  callback: () => void;
}

export class FakeClock {
  private at: number;
  private order = 0;
  private timers: Timer[] = [];

  constructor(start = Date.UTC(2026, 0, 2, 3, 0, 0)) {
    this.at = start;
  }

  readonly now = (): number => this.at;

  readonly after = (ms: number, callback: () => void): (() => void) => {
    const timer = { due: this.at + ms, order: this.order++, callback };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((each) => each !== timer);
    };
  };

  advance(ms: number): void {
    const end = this.at + ms;
    for (;;) {
      const next = this.nextTimer(end);
      if (next === undefined) break;
      this.timers = this.timers.filter((each) => each !== next);
      this.at = Math.max(this.at, next.due);
      next.callback();
    }
    this.at = end;
  }

  /** The same, letting promises run between the timers. */
  async advanceAsync(ms: number): Promise<void> {
    const end = this.at + ms;
    await settle();
    for (;;) {
      const next = this.nextTimer(end);
      if (next === undefined) break;
      this.advance(Math.max(0, next.due - this.at));
      await settle();
    }
    this.at = end;
    await settle();
  }

  private nextTimer(end: number): Timer | undefined {
    return this.timers.filter((timer) => timer.due <= end).sort((a, b) => a.due - b.due || a.order - b.order)[0];
  }
}

/** Lets everything run that waits only for promises, those of fake-indexeddb (which uses immediates) included. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 12; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
