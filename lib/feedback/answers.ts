import type { AnswerFailure } from "../base/errors.js";
import type { Usage } from "./budget.js";
import type { ChatAnswer } from "./chat_model.js";
import type { Assignment, Member } from "./ensemble.js";
import { Journal } from "./journal.js";
import type { Origin } from "./journal_lines.js";

// What a journal of answers holds, a record a line.

interface Counted {
  /** Name of the member. */
  readonly model: string;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
}

export interface AnsweredRecord extends Counted {
  /** Key of the prompt. */
  readonly prompt: string;
  readonly text: string;
  readonly finish: "stop" | "length";
}

export interface FailedRecord extends Counted {
  readonly prompt: string;
  readonly failed: AnswerFailure | "filtered";
  readonly reason: string;
}

/** Tokens that may have been charged for answers that did not come. */
export interface LostRecord extends Counted {
  readonly lost: true;
}

/** The reason of an answer whose `finish` is `filter`. */
export const FILTERED = "held back by the endpoint's filter";

export type AnswerRecord = AnsweredRecord | FailedRecord | LostRecord;

/** What is known of each answer that is wanted; of several records of one the last holds. */
export class Answers {
  private readonly latest = new Map<string, AnsweredRecord | FailedRecord>();

  constructor(readonly records: readonly AnswerRecord[]) {
    for (const record of records) this.know(record);
  }

  of<M extends Member>({ prompt, member }: Assignment<M>): AnsweredRecord | FailedRecord | undefined {
    return this.latest.get(keyOf(prompt.key, member.name));
  }

  /** Whether an answer need not be asked for. What was refused will be refused again; what did not come may come now. */
  isDone<M extends Member>(assignment: Assignment<M>, retryFailed: boolean): boolean {
    const record = this.of(assignment);
    if (record === undefined) return false;
    return !isFailed(record) || (!retryFailed && record.failed !== "unavailable");
  }

  know(record: AnswerRecord): void {
    if (!("lost" in record)) this.latest.set(keyOf(record.prompt, record.model), record);
  }
}

export const isFailed = (record: AnswerRecord): record is FailedRecord => "failed" in record;

/** Answers that are kept in a journal as they come. */
export class KeptAnswers extends Answers {
  private constructor(private readonly journal: Journal<AnswerRecord>) {
    super(journal.records);
  }

  /** Throws as `Journal.open` does. */
  static async open(path: string, origin: Origin): Promise<KeptAnswers> {
    return new KeptAnswers(await Journal.open<AnswerRecord>(path, origin));
  }

  /** Keeps an answer, or that a filter held it back. Resolves when it is on the disk. */
  async keepAnswer<M extends Member>({ prompt, member }: Assignment<M>, answer: ChatAnswer): Promise<void> {
    const { text, finish, promptTokens, completionTokens } = answer;
    const tokens = { prompt_tokens: promptTokens, completion_tokens: completionTokens };
    const of = { prompt: prompt.key, model: member.name };
    await this.keep(
      finish === "filter"
        ? { ...of, failed: "filtered", reason: FILTERED, ...tokens }
        : { ...of, text, finish, ...tokens },
    );
  }

  async keepFailure<M extends Member>({ prompt, member }: Assignment<M>, failed: AnswerFailure, reason: string) {
    await this.keep({ prompt: prompt.key, model: member.name, failed, reason, prompt_tokens: 0, completion_tokens: 0 });
  }

  /** Keeps that tokens may have been charged. That need not be waited for: what fails of it fails the next answer too. */
  keepLoss(model: string, { promptTokens, completionTokens }: Usage): void {
    const record: LostRecord = { model, lost: true, prompt_tokens: promptTokens, completion_tokens: completionTokens };
    this.journal.append(record).catch(() => undefined);
  }

  close(): Promise<void> {
    return this.journal.close();
  }

  private async keep(record: AnsweredRecord | FailedRecord): Promise<void> {
    await this.journal.append(record);
    this.know(record);
  }
}

const keyOf = (prompt: string, model: string): string => `${prompt} ${model}`;
