import { setMaxListeners } from "node:events";
import { ApiError, shuttingDown } from "./api_error.js";

/** A request that was let in. `signal` is raised when its answer is not wanted any more, with the reason. */
export interface Ticket {
  readonly signal: AbortSignal;
  abort(reason: unknown): void;
  end(): void;
}

/** Counts the requests that run or wait, from their headers to the last byte of their answers. */
export class Admission {
  private readonly open = new Set<Ticket>();
  private isClosing = false;
  private onEmpty = (): void => undefined;

  constructor(private readonly limits: { readonly maxRequests: number; readonly requestSeconds: number }) {}

  get isOpen(): boolean {
    return !this.isClosing;
  }

  /** Throws ApiError: 503 while closing, 429 where as many requests are open as may be. */
  enter(): Ticket {
    if (this.isClosing) throw shuttingDown();
    const { maxRequests, requestSeconds } = this.limits;
    if (this.open.size >= maxRequests) {
      const message = `${maxRequests} requests run or wait already, which is as many as this server takes; try again later.`;
      throw new ApiError(429, message, { code: "too_many_requests", headers: { "Retry-After": "1" } });
    }
    const controller = new AbortController();
    setMaxListeners(0, controller.signal); // each of its prompts listens
    const tooLong = (): ApiError =>
      new ApiError(504, `The request took longer than ${requestSeconds} s.`, { code: "request_timeout" });
    const timer = setTimeout(() => controller.abort(tooLong()), requestSeconds * 1000).unref();
    const ticket: Ticket = {
      signal: controller.signal,
      abort: (reason) => controller.abort(reason),
      end: () => {
        clearTimeout(timer);
        if (this.open.delete(ticket) && this.open.size === 0) this.onEmpty();
      },
    };
    this.open.add(ticket);
    return ticket;
  }

  /** Lets nobody in from now on. Resolves when all requests are over. */
  async close(): Promise<void> {
    this.isClosing = true;
    if (this.open.size === 0) return;
    await new Promise<void>((resolve) => {
      this.onEmpty = resolve;
    });
  }

  /** Ends the requests that are open. */
  abortAll(): void {
    for (const ticket of this.open) ticket.abort(shuttingDown());
  }
}
