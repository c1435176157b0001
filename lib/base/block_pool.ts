import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";

/** Blocks that wait at a thread, so that it never waits for one. */
const AHEAD = 2;

export interface BlockPoolOptions<Block, Result> {
  /** The module that a thread runs, as package.json's "imports" name it. It answers nothing for a block with a fault. */
  readonly worker: `#${string}`;
  /** What a thread is told when it begins. */
  readonly workerData: unknown;
  /** Makes what does the same work in this thread. */
  readonly here: () => Promise<(block: Block) => Result>;
  readonly numThreads: number;
  /** So many blocks or fewer are worked on in this thread: starting others would take longer. Default 0. */
  readonly worthThreads?: number;
}

interface Thread<Result> {
  readonly worker: Worker;
  isGone: boolean;
  readonly waiting: ((result: Result | undefined) => void)[];
}

/** Works on blocks in threads of their own, or with no threads in this one. */
export class BlockPool<Block, Result> implements AsyncDisposable {
  private threads: readonly Thread<Result>[] = [];
  private here: Promise<(block: Block) => Result> | undefined;
  private isClosed = false;

  constructor(private readonly options: BlockPoolOptions<Block, Result>) {}

  /** What becomes of the blocks, in their order; at most a few are in memory. Throws what the first faulty block throws. */
  async *work(blocks: AsyncGenerator<Block, void, void>): AsyncGenerator<Result, void, void> {
    const first: Block[] = [];
    const { worthThreads = 0 } = this.options;
    const pending: Promise<Result>[] = [];
    try {
      for (let next = await blocks.next(); !next.done; next = await blocks.next()) {
        first.push(next.value);
        if (first.length > worthThreads) break;
      }
      if (first.length > worthThreads) this.startThreads();
      const most = Math.max(1, this.threads.length * AHEAD);
      for await (const block of chain(first, blocks)) {
        pending.push(this.start(block));
        if (pending.length >= most) yield await pending.shift()!;
      }
      for (const result of pending) yield await result;
    } finally {
      await blocks.return(); // whoever stops early leaves no file open
    }
  }

  private startThreads(): void {
    // Resolved from package.json, so that sources that run uncompiled find the compiled thread too.
    const path = createRequire(import.meta.url).resolve(this.options.worker);
    this.threads = Array.from({ length: this.options.numThreads }, () => {
      const worker = new Worker(path, { workerData: this.options.workerData, execArgv: [] });
      const thread: Thread<Result> = { worker, isGone: false, waiting: [] };
      worker.on("message", (result: Result | undefined) => thread.waiting.shift()!(result));
      const fail = (): void => {
        thread.isGone = true;
        for (const answer of thread.waiting.splice(0)) answer(undefined);
      };
      worker.on("error", fail).on("exit", fail);
      return thread;
    });
  }

  private start(block: Block): Promise<Result> {
    const [first, ...others] = this.threads.filter(({ isGone }) => !isGone);
    const result = first === undefined ? this.workHere(block) : this.workThere(block, first, others);
    result.catch(() => undefined); // it is thrown when its turn comes
    return result;
  }

  private async workThere(block: Block, first: Thread<Result>, others: readonly Thread<Result>[]): Promise<Result> {
    const thread = others.reduce((a, b) => (b.waiting.length < a.waiting.length ? b : a), first);
    const answer = await new Promise<Result | undefined>((resolve) => {
      thread.waiting.push(resolve);
      thread.worker.postMessage(block); // a copy: what is wrong with it is found here
    });
    return answer ?? this.workHere(block);
  }

  private async workHere(block: Block): Promise<Result> {
    if (this.isClosed) throw new Error("nobody waits for this block any more"); // a thread that ends has not done it
    this.here ??= this.options.here();
    return (await this.here)(block);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.isClosed = true;
    await Promise.all(this.threads.map(({ worker }) => worker.terminate()));
  }
}

async function* chain<Block>(first: readonly Block[], others: AsyncGenerator<Block, void, void>) {
  yield* first;
  yield* others;
}
