import { type Answers, isFailed } from "./answers.js";
import type { Member } from "./ensemble.js";
import type { Work } from "./plan.js";

/** Answers that one model did not give for one reason. */
export interface FailureCount {
  readonly model: string;
  readonly reason: string;
  readonly count: number;
}

/** Why answers are missing, the most frequent reason first. */
export function countFailures<M extends Member>(work: Work<M>, answers: Answers): FailureCount[] {
  const counts = new Map<string, FailureCount>();
  for (const one of [...work.values()].flat()) {
    const record = answers.of(one);
    if (record === undefined || !isFailed(record)) continue;
    const { model, reason } = record;
    const key = JSON.stringify([model, reason]);
    counts.set(key, { model, reason, count: (counts.get(key)?.count ?? 0) + 1 });
  }
  return [...counts.values()].sort((a, b) => b.count - a.count);
}
