import type { Metrics } from "./metrics.js";
import type { PromptEvent } from "./run_all.js";
import type { Work } from "./work.js";

/** Counts a request's tokens while they come, and tells the metrics when. */
export class Tally {
  promptTokens = 0;
  cachedTokens = 0;
  completionTokens = 0;
  private readonly begin = performance.now();
  private isFirst = true;
  private readonly last = new Map<string, number>(); // when each answer got its last token

  constructor(private readonly metrics: Metrics) {}

  /** Passes the events of a request on. */
  async *follow(work: Work, events: AsyncGenerator<PromptEvent, void, void>): AsyncGenerator<PromptEvent, void, void> {
    for await (const told of events) {
      const { prompt, event } = told;
      if (event.kind === "prompt") this.addPrompt(work.requests[prompt]!.prompt.length, event.cachedTokens);
      if (event.kind === "token") this.addToken(`${prompt},${event.choice}`);
      yield told;
    }
  }

  get usage(): object {
    const { promptTokens, cachedTokens, completionTokens } = this;
    return {
      prompt_tokens: promptTokens,
      completion_tokens: completionTokens,
      total_tokens: promptTokens + completionTokens,
      prompt_tokens_details: { cached_tokens: cachedTokens },
    };
  }

  private addPrompt(tokens: number, cached: number): void {
    this.promptTokens += tokens;
    this.cachedTokens += cached;
    this.metrics.promptTokens.inc(tokens);
    this.metrics.cachedTokens.inc(cached);
  }

  private addToken(answer: string): void {
    const now = performance.now();
    const before = this.last.get(answer);
    this.last.set(answer, now);
    this.completionTokens++;
    this.metrics.generatedTokens.inc();
    if (before !== undefined) this.metrics.timePerToken.observe((now - before) / 1000);
    if (this.isFirst) this.metrics.timeToFirstToken.observe((now - this.begin) / 1000);
    this.isFirst = false;
  }
}
