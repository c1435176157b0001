import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";
import { type EncodedBlock, Encoder, type Encoding, type RowBlock } from "./encoder.js";

/** Blocks that wait at a thread, so that it never waits for one. */
const AHEAD = 2;

interface Thread {
  readonly worker: Worker;
  isGone: boolean;
  readonly waiting: ((encoded: EncodedBlock | undefined) => void)[];
}

/** Encodes blocks of rows in threads of their own, or with no threads in this one. */
export class EncoderPool implements AsyncDisposable {
  private readonly threads: readonly Thread[];
  private readonly here: Promise<Encoder>;

  constructor(encoding: Encoding, numThreads: number) {
    this.here = Encoder.load(encoding);
    this.here.catch(() => undefined); // whoever awaits it is told
    // Resolved from package.json, so that sources that run uncompiled find the compiled thread too.
    const path = createRequire(import.meta.url).resolve("#encode_worker");
    this.threads = Array.from({ length: numThreads }, () => {
      const worker = new Worker(path, { workerData: encoding, execArgv: [] });
      const thread: Thread = { worker, isGone: false, waiting: [] };
      worker.on("message", (encoded: EncodedBlock | undefined) => thread.waiting.shift()!(encoded));
      const fail = (): void => {
        thread.isGone = true;
        for (const answer of thread.waiting.splice(0)) answer(undefined);
      };
      worker.on("error", fail).on("exit", fail);
      return thread;
    });
  }

  /** The blocks as tokens, in their order; at most a few are in memory. Throws what the first faulty row throws. */
  async *encode(blocks: AsyncIterable<RowBlock>): AsyncGenerator<EncodedBlock, void, void> {
    const pending: Promise<EncodedBlock>[] = [];
    for await (const block of blocks) {
      pending.push(this.start(block));
      if (pending.length >= Math.max(1, this.threads.length * AHEAD)) yield await pending.shift()!;
    }
    for (const encoded of pending) yield await encoded;
  }

  private start(block: RowBlock): Promise<EncodedBlock> {
    const [first, ...others] = this.threads.filter(({ isGone }) => !isGone);
    if (first === undefined) return this.encodeHere(block);
    const thread = others.reduce((a, b) => (b.waiting.length < a.waiting.length ? b : a), first);
    const answer = new Promise<EncodedBlock | undefined>((resolve) => {
      thread.waiting.push(resolve);
      thread.worker.postMessage(block); // a copy: what is wrong with it is found here
    });
    const encoded = answer.then((found) => found ?? this.encodeHere(block));
    encoded.catch(() => undefined); // it is thrown when its turn comes
    return encoded;
  }

  private async encodeHere(block: RowBlock): Promise<EncodedBlock> {
    return (await this.here).encode(block);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.threads.map(({ worker }) => worker.terminate()));
  }
}
