import type { Job } from "./job.js";
import type { Scheduler } from "./scheduler.js";
import { type Scorer, scoreToken } from "./scores.js";
import type { Sequence } from "./sequence.js";

export interface AnswerOptions {
  /** The UTF-8 bytes of a token, none of a special one. */
  readonly bytesOf: (id: number) => Uint8Array;
  /** Tokens that end an answer where a request names none. */
  readonly stopTokens: readonly number[];
  readonly sharePrefixes: boolean;
}

/** The answers that have not ended, of all requests: what they tell when their tokens come, and when they end. */
export class Answers {
  readonly done = { promptTokens: 0, cachedTokens: 0, generatedTokens: 0 };
  private readonly jobs = new Map<Sequence, { readonly job: Job; readonly choice: number }>();

  constructor(
    private readonly scheduler: Scheduler,
    private readonly options: AnswerOptions,
  ) {}

  /** An answer to `job`, not yet with the scheduler: its first choice is to be added, the others follow its prompt. */
  add(sequence: Sequence, job: Job): void {
    this.jobs.set(sequence, { job, choice: job.sequences.length });
    job.sequences.push(sequence);
  }

  /** Whether logits behind the prompt's tokens are asked, for their scores. */
  scoresPrompt(sequence: Sequence): boolean {
    const { job, choice } = this.jobs.get(sequence)!;
    return choice === 0 && job.scoresPrompt;
  }

  /** Whether logits are asked beside a token. */
  scoresTokens(sequence: Sequence): boolean {
    return this.jobs.get(sequence)!.job.request.logprobs !== undefined;
  }

  /** The logits behind token `at` of a prompt. */
  scorePrompt(sequence: Sequence, at: number, logits: Float32Array): void {
    this.of(sequence, (job) => {
      job.scores[at] = scoreToken(logits, sequence.tokens[at + 1]!, this.scorer(job));
    });
  }

  /** All of a prompt, and maybe more, has gone through the model. */
  readPrompt(sequence: Sequence): void {
    this.of(sequence, (job) => {
      if (!job.isPromptTold) this.tellPrompt(job, sequence);
      if (sequence.maxNewTokens === 0) this.finish(sequence, "length", "");
    });
  }

  /** A token was drawn, by logits that are given where it is to be scored. */
  grow(sequence: Sequence, id: number, logits: Float32Array | undefined): void {
    this.of(sequence, (job, choice) => {
      const stopTokens = job.request.stopTokens ?? this.options.stopTokens;
      if (stopTokens.includes(id)) {
        this.finish(sequence, "stop", sequence.text.end());
        return;
      }
      sequence.append(id);
      this.done.generatedTokens++;
      const { text, isStopped } = sequence.text.push(this.options.bytesOf(id));
      const score = logits && { score: scoreToken(logits, id, this.scorer(job)) };
      job.tell({ kind: "token", choice, id, text, ...score });
      if (isStopped) this.finish(sequence, "stop", "");
      else if (sequence.numNewTokens === sequence.maxNewTokens) this.finish(sequence, "length", sequence.text.end());
    });
  }

  /** Answers that nobody reads make room for others; they go on where they were when their caller has read on. */
  holdUnread(): void {
    for (const { job } of [...this.jobs.values()]) {
      if (!job.isFull || job.isHeld) continue;
      job.isHeld = true;
      for (const sequence of job.sequences) if (!sequence.isEnded) this.scheduler.remove(sequence);
    }
  }

  /** Frees what a request still holds. */
  end(job: Job): void {
    for (const sequence of job.sequences) if (!sequence.isEnded) this.retire(sequence);
  }

  endAll(error: unknown): void {
    for (const { job } of this.jobs.values()) {
      job.fail(error);
      this.end(job);
    }
  }

  /** What goes wrong with a sequence is its request's alone; nothing happens to one that has ended. */
  private of(sequence: Sequence, act: (job: Job, choice: number) => void): void {
    const found = this.jobs.get(sequence);
    if (found === undefined) return;
    try {
      act(found.job, found.choice);
    } catch (error) {
      found.job.fail(error);
      this.end(found.job);
    }
  }

  private tellPrompt(job: Job, sequence: Sequence): void {
    const { promptLength, numShared = 0 } = sequence;
    this.done.promptTokens += promptLength;
    this.done.cachedTokens += numShared;
    const scores = job.scoresPrompt ? { scores: job.scores } : {};
    job.tell({ kind: "prompt", cachedTokens: numShared, ...scores });
    sequence.mayShare = this.options.sharePrefixes;
    for (const other of job.sequences.slice(1)) this.scheduler.add(other);
  }

  private finish(sequence: Sequence, finish: "stop" | "length", text: string): void {
    const { job, choice } = this.jobs.get(sequence)!;
    this.retire(sequence);
    job.tell({ kind: "end", choice, finish, text, numTokens: sequence.numNewTokens });
  }

  private retire(sequence: Sequence): void {
    sequence.isEnded = true;
    this.scheduler.remove(sequence);
    this.jobs.delete(sequence);
  }

  private scorer({ request }: Job): Scorer {
    return { count: request.logprobs ?? 0, bytesOf: this.options.bytesOf };
  }
}
