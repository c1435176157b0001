import { setMaxListeners } from "node:events";
import { AbortedError } from "../base/errors.js";

/** What ends the asking before all is asked. */
export class Halt {
  isOver = false;
  private error: unknown;
  private readonly controller = new AbortController();
  private readonly abort = (): void => this.stop(undefined);

  constructor(private readonly outer: AbortSignal | undefined) {
    setMaxListeners(0, this.controller.signal); // every request listens
    outer?.addEventListener("abort", this.abort, { once: true });
    if (outer?.aborted) this.abort();
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Nothing more is asked. */
  drain(error: unknown): void {
    this.error ??= error;
    this.isOver = true;
  }

  /** Nor is what was asked waited for any longer than its grace. */
  stop(error: unknown): void {
    this.drain(error);
    this.controller.abort();
  }

  /** Throws what it was; a signal that came when all was done has stopped nothing. */
  end(isAllDone = false): void {
    this.outer?.removeEventListener("abort", this.abort);
    if (this.error !== undefined) throw this.error;
    if (this.isOver && !isAllDone) throw new AbortedError(0, "stopped before all was asked");
  }
}
