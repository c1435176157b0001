import { type Clock, untilAborted } from "../../lib/feedback/clock.js";

/** A time that passes when it is told to. */
export class FakeClock implements Clock {
  private time = 1_700_000_000_000;
  private readonly sleepers: { readonly until: number; readonly wake: () => void }[] = [];

  now = (): number => this.time;

  sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
    return untilAborted<void>(signal, (wake) => {
      const sleeper = { until: this.time + milliseconds, wake };
      this.sleepers.push(sleeper);
      return () => this.sleepers.splice(this.sleepers.indexOf(sleeper), 1);
    });
  }

  /** Milliseconds until the next one wakes; undefined where none sleeps. */
  get nextWake(): number | undefined {
    return this.sleepers.length === 0 ? undefined : Math.min(...this.sleepers.map(({ until }) => until)) - this.time;
  }

  /** Lets so much time pass, and all that follows from it happen. */
  async pass(milliseconds: number): Promise<void> {
    const end = this.time + milliseconds;
    for (;;) {
      await new Promise(setImmediate);
      const next = this.sleepers.reduce((a, b) => (b.until < a.until ? b : a), { until: Infinity, wake: () => {} });
      if (next.until > end) break;
      this.sleepers.splice(this.sleepers.indexOf(next as (typeof this.sleepers)[0]), 1);
      this.time = Math.max(this.time, next.until);
      next.wake();
    }
    this.time = end;
  }
}
