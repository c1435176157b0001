import { type Clock, systemClock, untilAborted } from "./clock.js";

export interface RateLimits {
  /** Most that run at the same time. */
  readonly concurrency: number;
  readonly requestsPerMinute?: number | undefined;
  /** Prompts and answers together. */
  readonly tokensPerMinute?: number | undefined;
}

/** A request that may run now. */
export interface Turn {
  /** What it took in tokens after all. */
  correct(tokens: number): void;
  /** Others may run in its place. To be called once, however it ended. */
  end(): void;
}

interface Waiting {
  readonly tokens: number;
  readonly go: (turn: Turn) => void;
}

/**
 * Lets requests run in the order they came, so many at the same time, and no faster than so many, and so many tokens, a
 * minute. Each rate is a bucket that holds what a second brings, so that requests are spread over the minute.
 */
export class RateLimiter {
  private readonly queue: Waiting[] = [];
  private readonly requests: Bucket;
  private readonly tokens: Bucket;
  private running = 0;
  private pausedUntil = 0;
  private alarm: AbortController | undefined;

  constructor(
    private readonly limits: RateLimits,
    private readonly clock: Clock = systemClock,
  ) {
    this.requests = new Bucket(limits.requestsPerMinute, clock);
    this.tokens = new Bucket(limits.tokensPerMinute, clock);
  }

  /** Waits for a request's turn. `tokens`: what it may take, by an estimate. With the signal it throws AbortedError. */
  turn(tokens: number, signal?: AbortSignal): Promise<Turn> {
    return untilAborted(signal, (go) => {
      const one = { tokens, go };
      this.queue.push(one);
      this.advance();
      return () => {
        const at = this.queue.indexOf(one);
        if (at >= 0) this.queue.splice(at, 1);
        if (this.queue.length === 0) this.alarm?.abort();
      };
    });
  }

  /** Lets none begin for so many milliseconds: the endpoint has said that it was asked too often. */
  pause(milliseconds: number): void {
    this.pausedUntil = Math.max(this.pausedUntil, this.clock.now() + milliseconds);
  }

  private advance(): void {
    while (this.queue.length > 0 && this.running < this.limits.concurrency) {
      const { tokens, go } = this.queue[0]!;
      const wait = Math.max(this.pausedUntil - this.clock.now(), this.requests.wait(1), this.tokens.wait(tokens));
      if (wait > 0) {
        this.wakeIn(wait);
        return;
      }
      this.queue.shift();
      this.running++;
      this.requests.take(1);
      this.tokens.take(tokens);
      go(this.newTurn(tokens));
    }
  }

  private newTurn(estimate: number): Turn {
    return {
      correct: (tokens) => this.tokens.take(tokens - estimate),
      end: () => {
        this.running--;
        this.advance();
      },
    };
  }

  /** Comes back to the first that waits; in place of a wake-up that was set before, since that may be too late now. */
  private wakeIn(milliseconds: number): void {
    this.alarm?.abort();
    const alarm = new AbortController();
    this.alarm = alarm;
    this.clock.sleep(milliseconds, alarm.signal).then(
      () => this.advance(),
      () => undefined,
    );
  }
}

/**
 * What may be taken: it fills evenly, to at most what a second brings. A correction may leave it in debt, or above that:
 * what was taken for nothing comes back whole, or estimates above what requests take would slow all down.
 */
class Bucket {
  private readonly perMillisecond: number;
  private readonly capacity: number;
  private level: number;
  private filledAt: number;

  constructor(
    perMinute = Number.POSITIVE_INFINITY,
    private readonly clock: Clock,
  ) {
    this.perMillisecond = perMinute / 60_000;
    this.capacity = Math.max(1, perMinute / 60);
    this.level = this.capacity;
    this.filledAt = clock.now();
  }

  /** Milliseconds until `amount` may be taken. More than the bucket holds may be taken when it is full, on credit. */
  wait(amount: number): number {
    this.fill();
    const missing = Math.min(amount, this.capacity) - this.level;
    return missing <= 0 || this.capacity === Number.POSITIVE_INFINITY ? 0 : Math.ceil(missing / this.perMillisecond);
  }

  take(amount: number): void {
    if (this.capacity === Number.POSITIVE_INFINITY) return;
    this.fill();
    this.level -= amount;
  }

  private fill(): void {
    const now = this.clock.now();
    if (this.capacity !== Number.POSITIVE_INFINITY) {
      const filled = Math.min(this.capacity, this.level + (now - this.filledAt) * this.perMillisecond);
      this.level = Math.max(this.level, filled);
    }
    this.filledAt = now;
  }
}
