import type { GenerationEvent, GenerationRequest, ScoredToken } from "./request.js";
import type { Sequence } from "./sequence.js";

/** Events that wait for a caller before its answers stop growing, and at which they go on. */
const MOST_WAITING = 512;
const FEW_WAITING = 256;

/** A request while it runs: its answers, and what its caller has not taken yet. */
export class Job {
  readonly sequences: Sequence[] = [];
  /** Of the prompt's tokens from the second on. */
  readonly scores: ScoredToken[] = [];
  isPromptTold = false;
  /** Whether its answers stand still because their caller does not read. */
  isHeld = false;
  /** Called when a caller that did not read has read on. */
  onRead = (): void => undefined;
  private readonly events: GenerationEvent[] = [];
  private numOpen: number;
  private error: unknown;
  private isClosed = false;
  private wake = (): void => undefined;

  constructor(
    readonly request: GenerationRequest,
    numChoices: number,
  ) {
    this.numOpen = numChoices;
  }

  /** Whether the prompt's tokens are to be scored, and have not been. */
  get scoresPrompt(): boolean {
    return this.request.promptLogprobs === true && !this.isPromptTold;
  }

  /** Whether its caller is too far behind. */
  get isFull(): boolean {
    return this.events.length >= MOST_WAITING;
  }

  tell(event: GenerationEvent): void {
    this.events.push(event);
    if (event.kind === "prompt") this.isPromptTold = true;
    if (event.kind === "end" && --this.numOpen === 0) this.isClosed = true;
    this.wake();
  }

  fail(error: unknown): void {
    if (this.isClosed) return;
    this.error = error;
    this.isClosed = true;
    this.wake();
  }

  /** The next event; undefined after the last. Throws what the request failed of, after the events before it. */
  async next(): Promise<GenerationEvent | undefined> {
    while (this.events.length === 0) {
      if (this.error !== undefined) throw this.error;
      if (this.isClosed) return undefined;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    const event = this.events.shift();
    if (this.isHeld && this.events.length <= FEW_WAITING) {
      this.isHeld = false;
      this.onRead();
    }
    return event;
  }
}
