import type { PagePool } from "./page_pool.js";
import type { Sequence } from "./sequence.js";

export interface SchedulerOptions {
  readonly pageSize: number;
  /** Most answers that grow at the same time. */
  readonly maxSequences: number;
  /** Most tokens of a step. What is left beside the answers' next tokens goes to prompts. */
  readonly tokensPerStep: number;
}

const isGrowing = ({ numPending }: Sequence): boolean => numPending === 1;

/** The next tokens of a sequence that go through the model in a step. */
export interface Share {
  readonly sequence: Sequence;
  readonly count: number;
}

/**
 * Chooses what goes through the model in each step: the next token of every answer, and as much of waiting prompts as there
 * is room for. Where the cache is full the sequence that came last is set back, and begins again when there is room.
 */
export class Scheduler {
  numPreemptions = 0;
  private readonly running: Sequence[] = []; // in the order they came
  private readonly waiting: Sequence[] = [];

  constructor(
    private readonly pool: PagePool,
    private readonly options: SchedulerOptions,
  ) {}

  get numRunning(): number {
    return this.running.length;
  }

  get numWaiting(): number {
    return this.waiting.length;
  }

  add(sequence: Sequence): void {
    this.waiting.push(sequence);
  }

  /** Forgets a sequence and frees its pages. */
  remove(sequence: Sequence): void {
    for (const list of [this.running, this.waiting]) {
      const at = list.indexOf(sequence);
      if (at >= 0) list.splice(at, 1);
    }
    sequence.releasePages(this.pool);
  }

  /** The shares of the next step; none where nothing is left to do. */
  next(): Share[] {
    const shares = new Map<Sequence, number>();
    let room = this.options.tokensPerStep;
    const give = (sequence: Sequence): void => {
      const count = Math.min(sequence.numPending, room);
      if (count === 0 || !this.makeRoom(sequence, sequence.numComputed + count, shares)) return;
      shares.set(sequence, count);
      room -= count;
    };
    const before = [...this.running];
    const [growing, others] = [before.filter(isGrowing), before.filter((sequence) => !isGrowing(sequence))];
    for (const sequence of [...growing, ...others]) {
      if (this.running.includes(sequence)) give(sequence); // else it was set back for one before it
    }
    while (room > 0 && this.running.length < this.options.maxSequences && this.admit()) give(this.running.at(-1)!);
    return [...shares].map(([sequence, count]) => ({ sequence, count }));
  }

  /** Lets the first that waits run, if all of its tokens have room in the cache now. */
  private admit(): boolean {
    const [sequence] = this.waiting;
    if (sequence === undefined) return false;
    if (sequence.mayShare) sequence.sharePages(this.pool, this.options.pageSize);
    const missing = Math.ceil(sequence.tokens.length / this.options.pageSize) - sequence.pages.length;
    if (missing > this.pool.available) {
      sequence.releasePages(this.pool);
      return false;
    }
    this.waiting.shift();
    this.running.push(sequence);
    return true;
  }

  /** Pages for the first `length` tokens; where there are none, from those that came after it. */
  private makeRoom(sequence: Sequence, length: number, shares: Map<Sequence, number>): boolean {
    while (sequence.pages.length * this.options.pageSize < length) {
      const page = this.pool.take();
      if (page !== undefined) {
        sequence.pages.push(page);
        continue;
      }
      const last = this.running.pop()!;
      this.waiting.unshift(last);
      last.releasePages(this.pool);
      shares.delete(last);
      this.numPreemptions++;
      if (last === sequence) return false;
    }
    return true;
  }
}
