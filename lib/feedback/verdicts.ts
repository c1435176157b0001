import type { Usage } from "./budget.js";
import { Journal } from "./journal.js";
import type { Origin } from "./journal_lines.js";
import { type CallRecord, hasFailed, type JudgeCall } from "./score.js";

/** Tokens that may have been charged for replies that did not come. */
export interface LostCall {
  readonly lost: true;
  readonly usage: Usage;
}

/** What a journal of verdicts holds, a record a line. */
export type VerdictRecord = CallRecord | LostCall;

/** What is known of each call that is wanted; of several records of one the last holds. */
export class Verdicts {
  private readonly latest = new Map<string, CallRecord>();

  constructor(readonly records: readonly VerdictRecord[]) {
    for (const record of records) this.know(record);
  }

  of({ key, criterion }: JudgeCall): CallRecord | undefined {
    return this.latest.get(`${key} ${criterion}`);
  }

  /** Whether a call need not be made. What was refused or not read will be again; what did not come may come now. */
  isDone(call: JudgeCall, retryFailed: boolean): boolean {
    const record = this.of(call);
    if (record === undefined) return false;
    return !hasFailed(record) || (!retryFailed && record.failed !== "unavailable");
  }

  protected know(record: VerdictRecord): void {
    if (!("lost" in record)) this.latest.set(`${record.key} ${record.criterion}`, record);
  }
}

/** Verdicts that are kept in a journal as they come. */
export class KeptVerdicts extends Verdicts {
  private constructor(private readonly journal: Journal<VerdictRecord>) {
    super(journal.records);
  }

  /** Throws as `Journal.open` does. */
  static async open(path: string, origin: Origin): Promise<KeptVerdicts> {
    return new KeptVerdicts(await Journal.open<VerdictRecord>(path, origin));
  }

  /** Resolves when it is on the disk. */
  async keep(record: CallRecord): Promise<void> {
    await this.journal.append(record);
    this.know(record);
  }

  /** Keeps that tokens may have been charged. That need not be waited for: what fails of it fails the next verdict too. */
  keepLoss(usage: Usage): void {
    this.journal.append({ lost: true, usage }).catch(() => undefined);
  }

  close(): Promise<void> {
    return this.journal.close();
  }
}
