import type { Tally } from "../feedback/budget.js";

/** How far one model is. */
export interface MemberProgress {
  readonly model: string;
  /** Answers that there are or that failed, of all that are wanted. */
  readonly done: number;
  readonly total: number;
  readonly failed: number;
  /** Of all its answers, earlier runs included. */
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly cost: number;
}

export interface FeedbackProgress {
  readonly done: number;
  readonly total: number;
  readonly failed: number;
  /** Of those that are done, how many are of earlier runs. */
  readonly continued: number;
  readonly seconds: number;
  readonly cost: number;
  readonly models: readonly MemberProgress[];
}

interface Counted {
  readonly name: string;
  readonly tally: Pick<Tally, "spent">;
}

/** Counts answers by model. */
export class FeedbackCount {
  private readonly began = performance.now();
  private readonly counts: Map<string, { member: Counted; total: number; done: number; failed: number }>;
  private continued = 0;

  constructor(members: readonly { readonly member: Counted; readonly total: number }[]) {
    this.counts = new Map(members.map((one) => [one.member.name, { ...one, done: 0, failed: 0 }]));
  }

  /** An answer of an earlier run. */
  addEarlier(member: Counted, hasFailed: boolean): void {
    this.continued++;
    this.add(member, hasFailed);
  }

  add({ name }: Counted, hasFailed: boolean): void {
    const count = this.counts.get(name)!;
    count.done++;
    if (hasFailed) count.failed++;
  }

  progress(): FeedbackProgress {
    const models = [...this.counts.values()].map(({ member, total, done, failed }): MemberProgress => {
      const { promptTokens, completionTokens, cost } = member.tally.spent;
      const tokens = { prompt_tokens: promptTokens, completion_tokens: completionTokens };
      return { model: member.name, done, total, failed, ...tokens, cost };
    });
    const sum = (key: "done" | "total" | "failed" | "cost"): number => models.reduce((all, one) => all + one[key], 0);
    const seconds = (performance.now() - this.began) / 1000;
    return {
      done: sum("done"),
      total: sum("total"),
      failed: sum("failed"),
      continued: this.continued,
      seconds,
      cost: sum("cost"),
      models,
    };
  }
}
