import type { Ticket } from "./admission.js";

const encoder = new TextEncoder();

/**
 * The body of a response that sends server-sent events: `first`, then what `rest` goes on with. Nothing is made ahead of what
 * the client reads: an event is asked for when the connection takes it. Where the iteration fails, or the request is ended,
 * `describe` gives the last event.
 */
export function eventStream(
  first: Promise<IteratorResult<string, void>>,
  rest: AsyncGenerator<string, void, void>,
  ticket: Ticket,
  describe: (error: unknown) => string,
): ReadableStream<Uint8Array> {
  const { signal } = ticket;
  let begun: typeof first | undefined = first;
  const next = (): typeof first => {
    const result = begun ?? rest.next();
    begun = undefined;
    return result;
  };
  const giveUp = (): void => void rest.return(); // for what waits to be read
  signal.addEventListener("abort", giveUp, { once: true });
  if (signal.aborted) giveUp();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const send = (data: string): void => controller.enqueue(encoder.encode(`data: ${data}\n\n`));
        try {
          const { done, value } = await next();
          if (done !== true) return send(value);
          if (signal.aborted) send(describe(signal.reason));
        } catch (error) {
          send(describe(signal.aborted ? signal.reason : error));
        }
        signal.removeEventListener("abort", giveUp);
        controller.close();
      },
      cancel(reason) {
        ticket.abort(reason);
      },
    },
    { highWaterMark: 0 },
  );
}
