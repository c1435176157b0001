import { AbortedError } from "../base/errors.js";

/** The time, for what waits; tests have their own. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Waits. With the signal it throws AbortedError. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

/** The most milliseconds of a timer: with more it would go off at once. */
export const LONGEST_TIMER = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (milliseconds, signal) => {
    return untilAborted(signal, (resolve) => {
      const timer = setTimeout(resolve, Math.min(milliseconds, LONGEST_TIMER));
      return () => clearTimeout(timer);
    });
  },
};

/**
 * Waits for `begin` to call back. With the signal it throws AbortedError instead, once what `begin` returned has given up
 * the waiting.
 */
export function untilAborted<T>(
  signal: AbortSignal | undefined,
  begin: (resolve: (value: T) => void, reject: (error: unknown) => void) => () => void,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    if (signal?.aborted) return reject(stopped());
    let giveUp = (): void => undefined;
    const onAbort = (): void => {
      giveUp();
      reject(stopped());
    };
    const end = (): void => signal?.removeEventListener("abort", onAbort);
    signal?.addEventListener("abort", onAbort, { once: true });
    giveUp = begin(
      (value) => {
        end();
        resolve(value);
      },
      (error) => {
        end();
        reject(error);
      },
    );
  });
}

export const stopped = (): AbortedError => new AbortedError(0, "stopped before the answer");
