import { AbortedError } from "../base/errors.js";
import type { GenerationEvent, GenerationRequest, TextGenerator } from "../generate/request.js";
import type { Ticket } from "./admission.js";

export interface PromptEvent {
  /** Which of the prompts. */
  readonly prompt: number;
  readonly event: GenerationEvent;
}

type Source = AsyncGenerator<GenerationEvent, void, void>;
type Arrival = { readonly prompt: number; readonly source: Source } & (
  | { readonly result: IteratorResult<GenerationEvent, void> }
  | { readonly error: unknown }
);

/**
 * Runs requests at the same time and tells what becomes of them as it comes. One event of each is taken at a time.
 * An error of one, or the end of the iteration, ends all.
 */
export async function* runAll(
  engine: TextGenerator,
  requests: readonly GenerationRequest[],
  ticket: Ticket,
): AsyncGenerator<PromptEvent, void, void> {
  const arrived: Arrival[] = [];
  let wake = (): void => undefined;
  const ask = (prompt: number, source: Source): void => {
    const arrive = (arrival: Arrival): void => {
      arrived.push(arrival);
      wake();
    };
    source.next().then(
      (result) => arrive({ prompt, source, result }),
      (error) => arrive({ prompt, source, error }),
    );
  };
  const sources = requests.map((request) => engine.generate({ ...request, signal: ticket.signal }));
  let numOpen = sources.length;
  try {
    sources.forEach((source, prompt) => void ask(prompt, source));
    while (numOpen > 0) {
      if (arrived.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      const arrival = arrived.shift()!;
      if ("error" in arrival) {
        ticket.abort(arrival.error);
        throw arrival.error;
      }
      if (arrival.result.done === true) {
        numOpen--;
        continue;
      }
      yield { prompt: arrival.prompt, event: arrival.result.value };
      ask(arrival.prompt, arrival.source);
    }
  } finally {
    if (numOpen > 0) ticket.abort(new AbortedError(0, "the request was given up")); // a return() waits for the next event
    await Promise.allSettled(sources.map((source) => source.return()));
  }
}
