import { AnswerError, BudgetError } from "../base/errors.js";
import { FILTERED, type KeptAnswers } from "./answers.js";
import type { ChatModel, ChatOptions } from "./chat_model.js";
import { type Assignment, type Member, messagesFor, seedOf } from "./ensemble.js";
import { Halt } from "./halt.js";
import type { Work } from "./plan.js";

/** A member that can be asked. */
export interface AskedMember extends Member {
  /** Most of its answers that are asked for at the same time. */
  readonly concurrency: number;
  /** Whether it takes this machine's memory: such members are asked one after the other, as they are listed. */
  readonly isLocal: boolean;
  readonly sampling: ChatOptions;
  readonly sendsSeed: boolean;
  /** Makes it ready to answer. */
  open(): Promise<OpenMember>;
}

export interface OpenMember extends AsyncDisposable {
  readonly model: ChatModel;
}

export interface AskOptions<M extends Member> {
  readonly seed: number;
  /** So many failures of one member in a row end it. */
  readonly failuresInARow: number;
  /** Ask again for what was refused or filtered. */
  readonly retryFailed: boolean;
  /** Is told of every answer that is kept, and of every failure. */
  readonly onKept?: ((member: M, hasFailed: boolean) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Asks for all answers that are not there yet, and keeps each as it comes. One that is refused, or did not come after all
 * tries, is kept as failed. Throws BudgetError when the budget is used up: then nothing more is asked, and what was asked
 * before is waited for. Throws AbortedError with the signal, AnswerError for a member that denies all, or has failed too
 * often in a row, FileError for a journal that cannot be written; then what is on its way is given its grace.
 */
export async function askEnsemble<M extends AskedMember>(
  work: Work<M>,
  answers: KeptAnswers,
  options: AskOptions<M>,
): Promise<void> {
  const halt = new Halt(options.signal);
  const members = [...work.keys()];
  const wanted = new Map(
    members.map((one) => [one, work.get(one)!.filter((wish) => !answers.isDone(wish, options.retryFailed))]),
  );
  let left = [...wanted.values()].reduce((sum, { length }) => sum + length, 0);
  const onKept = (member: M, hasFailed: boolean): void => {
    left--;
    options.onKept?.(member, hasFailed);
  };
  const ask = async (member: M): Promise<void> => {
    if (wanted.get(member)!.length === 0 || halt.isOver) return;
    const asked = askMember(member, wanted.get(member)!, answers, { ...options, onKept }, halt);
    await asked.catch((error) => halt.stop(error));
  };
  const askLocal = async (): Promise<void> => {
    for (const member of members) if (member.isLocal) await ask(member);
  };
  await Promise.all([askLocal(), ...members.filter(({ isLocal }) => !isLocal).map(ask)]);
  halt.end(left === 0);
}

async function askMember<M extends AskedMember>(
  member: M,
  wanted: readonly Assignment<M>[],
  answers: KeptAnswers,
  { seed, failuresInARow, onKept }: AskOptions<M>,
  halt: Halt,
): Promise<void> {
  await using opened = await member.open();
  const { model } = opened;
  const queue = wanted.values();
  let failures = 0; // in a row

  async function askOne(one: Assignment<M>): Promise<void> {
    const reason = await keepOne(one);
    const hasFailed = reason !== undefined;
    onKept?.(member, hasFailed);
    failures = hasFailed ? failures + 1 : 0;
    if (failures < failuresInARow) return;
    throw new AnswerError(model.name, "denied", `${failures} answers in a row failed, the last one: ${reason}`);
  }

  /** Asks for an answer and keeps it, or why there is none: then it returns that. */
  async function keepOne(one: Assignment<M>): Promise<string | undefined> {
    const own = { ...member.sampling, seed: member.sendsSeed ? seedOf(seed, one) : undefined, signal: halt.signal };
    try {
      const answer = await model.answer(messagesFor(one), own);
      await answers.keepAnswer(one, answer);
      return answer.finish === "filter" ? FILTERED : undefined;
    } catch (error) {
      if (!(error instanceof AnswerError) || error.failure === "denied") throw error;
      await answers.keepFailure(one, error.failure, error.message);
      return error.message.slice(model.name.length + 2);
    }
  }

  const worker = async (): Promise<void> => {
    for (const one of queue) {
      if (halt.isOver) return;
      await askOne(one).catch((error) => (error instanceof BudgetError ? halt.drain(error) : halt.stop(error)));
    }
  };
  await Promise.all(Array.from({ length: Math.min(member.concurrency, wanted.length) }, worker));
}
