import { AnswerError, BudgetError } from "../base/errors.js";
import type { SourceRow } from "../data/source.js";
import { Halt } from "./halt.js";
import type { Judge } from "./judge.js";
import { askJudge, type CallRecord, callKey, hasFailed, type JudgeCall, toUnscored } from "./score.js";
import type { ScoredPrompt } from "./scored.js";
import type { KeptVerdicts } from "./verdicts.js";

/** A call that is wanted, and the row it is about. */
export interface WantedCall {
  readonly call: JudgeCall;
  readonly row: ScoredPrompt;
}

/** The calls of a row, one a criterion; none where no completion says anything. */
export function callsOf(row: ScoredPrompt, criteria: readonly JudgeCall["criterion"][]): JudgeCall[] {
  if (row.completions.every(({ response }) => response.trim() === "")) return [];
  const key = callKey(row);
  return criteria.map((criterion) => ({ key, criterion }));
}

/** The calls of all rows, in their order; rows that are alike share theirs. Throws DataError for a row of another shape. */
export async function* wantedCalls(
  rows: AsyncIterable<SourceRow>,
  criteria: readonly JudgeCall["criterion"][],
): AsyncGenerator<WantedCall> {
  const seen = new Set<string>();
  for await (const fields of rows) {
    const row = toUnscored(fields);
    const calls = callsOf(row, criteria);
    if (calls.length === 0 || seen.has(calls[0]!.key)) continue;
    seen.add(calls[0]!.key);
    for (const call of calls) yield { call, row };
  }
}

export interface AskJudgeOptions {
  readonly seed: number;
  /** Most calls at the same time. */
  readonly concurrency: number;
  /** So many failures in a row end it. */
  readonly failuresInARow: number;
  /** Is told of every verdict that is kept. */
  readonly onKept?: ((record: CallRecord) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Makes all calls and keeps each verdict as it comes, failures too. Throws BudgetError when the budget is used up: then
 * nothing more is asked, and what was asked before is waited for. Throws AbortedError with the signal, AnswerError for a judge
 * that denies all or has failed too often in a row, FileError for a journal that cannot be written, and what rules throw;
 * then what is on its way is given its grace.
 */
export async function askAllCalls(
  judge: Judge,
  wanted: AsyncIterable<WantedCall>,
  kept: KeptVerdicts,
  { seed, concurrency, failuresInARow, onKept, signal }: AskJudgeOptions,
): Promise<void> {
  const halt = new Halt(signal);
  const queue = wanted[Symbol.asyncIterator]();
  let failures = 0; // in a row
  let open = 0;

  async function make({ call, row }: WantedCall): Promise<void> {
    open++;
    const record = await askJudge(judge, row, call, seed, halt.signal);
    await kept.keep(record);
    open--;
    onKept?.(record);
    failures = hasFailed(record) ? failures + 1 : 0;
    if (failures < failuresInARow || !hasFailed(record)) return;
    throw new AnswerError(judge.name, "denied", `${failures} calls in a row failed, the last one: ${record.reason}`);
  }

  const worker = async (): Promise<void> => {
    while (!halt.isOver) {
      const next = await queue.next();
      if (next.done === true) return;
      await make(next.value).catch((error) => (error instanceof BudgetError ? halt.drain(error) : halt.stop(error)));
    }
  };
  await Promise.all(Array.from({ length: concurrency }, () => worker().catch((error) => halt.stop(error))));
  const rest = await queue.next();
  await queue.return?.();
  halt.end(rest.done === true && open === 0);
}
