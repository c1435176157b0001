import { setMaxListeners } from "node:events";
import { AbortedError } from "./errors.js";

/** Works on all items, at most `limit` at the same time. The first error and the signal end all; it waits until they have. */
export async function eachAtOnce<Item>(
  items: readonly Item[],
  limit: number,
  signal: AbortSignal | undefined,
  work: (item: Item, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal); // each request that runs listens
  const abort = (): void => controller.abort();
  signal?.addEventListener("abort", abort);
  if (signal?.aborted) abort();
  const queue = items.values();
  let failure: unknown;
  const worker = async (): Promise<void> => {
    while (!controller.signal.aborted) {
      const { value, done } = queue.next();
      if (done) return;
      await work(value, controller.signal).catch((error) => {
        failure ??= error;
        abort();
      });
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  signal?.removeEventListener("abort", abort);
  if (failure !== undefined) throw failure;
  if (!queue.next().done) throw new AbortedError(0, "stopped before all was begun");
}
