import type { PagePool } from "./page_pool.js";
import type { Sequence } from "./sequence.js";

export interface SchedulerOptions {
  readonly pageSize: number;
  /** Most answers that grow at the same time. */
  readonly maxSequences: number;
  /** Most tokens of a step, at least one for each answer. What is left beside their next tokens goes to prompts. */
  readonly tokensPerStep: number;
}

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
  /** The first that waits, and the pages there were when they were too few for it. */
  private refused: { readonly sequence: Sequence; readonly available: number } | undefined;

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

  /** Forgets a sequence and frees its pages. Full ones stay in the cache while there is room, for when it is added again. */
  remove(sequence: Sequence): void {
    for (const list of [this.running, this.waiting]) {
      const at = list.indexOf(sequence);
      if (at >= 0) list.splice(at, 1);
    }
    sequence.releasePages(this.pool);
  }

  /** Adds a sequence before all that wait. */
  resume(sequence: Sequence): void {
    this.waiting.unshift(sequence);
  }

  /** The shares of the next step; none where nothing is left to do. */
  next(): Share[] {
    const shares: Share[] = [];
    let room = this.options.tokensPerStep;
    const give = (sequence: Sequence): void => {
      const count = Math.min(sequence.numPending, room);
      if (count === 0 || !this.makeRoom(sequence, sequence.numComputed + count)) return;
      shares.push({ sequence, count });
      room -= count;
    };
    // Prompts are let in while there is room for more of the step, so all but the last that runs have one token to go.
    for (let i = 0; i < this.running.length; i++) give(this.running[i]!);
    while (room > 0 && this.running.length < this.options.maxSequences && this.admit()) give(this.running.at(-1)!);
    return shares;
  }

  /** Lets the first that waits run, if all of its tokens have room in the cache now. */
  private admit(): boolean {
    const [sequence] = this.waiting;
    if (sequence === undefined) return false;
    const { pool, refused } = this;
    if (refused?.sequence === sequence && pool.available <= refused.available) return false;
    this.refused = undefined;
    if (sequence.mayShare) sequence.sharePages(pool, this.options.pageSize);
    const length = sequence.numComputed + sequence.numPending;
    const missing = Math.ceil(length / this.options.pageSize) - sequence.pages.length;
    if (missing > pool.available) {
      sequence.releasePages(pool);
      this.refused = { sequence, available: pool.available };
      return false;
    }
    this.waiting.shift();
    this.running.push(sequence);
    sequence.begin();
    return true;
  }

  /** Pages for the first `length` tokens; where there are none, from those that came after it. */
  private makeRoom(sequence: Sequence, length: number): boolean {
    while (sequence.pages.length * this.options.pageSize < length) {
      const page = this.pool.take();
      if (page !== undefined) {
        sequence.pages.push(page);
        continue;
      }
      const last = this.running.pop()!;
      this.waiting.unshift(last);
      last.releasePages(this.pool);
      this.numPreemptions++;
      if (last === sequence) return false;
    }
    return true;
  }
}
