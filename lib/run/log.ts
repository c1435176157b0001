import { appendFileSync } from "node:fs";
import { readFile } from "node:fs/promises";

import { FileError } from "../base/errors.js";
import { writeFileAtomic } from "../base/files.js";
import type { LogRecord } from "../report/report.js";
import { Metrics } from "../train/metrics.js";
import type { StepRecord } from "../train/train.js";

/** What of a task's metrics is a rate of something rather than a mean: rows are pairs in a preference run. */
export interface LogOptions {
  /** Steps between two lines; 0 is at the end of each epoch, Infinity only at the end of the run. */
  readonly every: number;
  readonly stepsPerEpoch: number;
  readonly firstStep: boolean;
  readonly rowsPerSecond: "pairs_per_second" | "rows_per_second";
}

/** Gathers the steps since the last line of the log, and makes the next one: means over them, TRL's names. */
export class LogWindow {
  private metrics = new Metrics();
  private losses = 0;
  private steps = 0;
  private seconds = 0;
  private rows = 0;
  private tokens = 0;

  constructor(private readonly options: LogOptions) {}

  /** The line that is due after this step, if one is. */
  add(step: StepRecord, isLast: boolean): LogRecord | undefined {
    this.metrics.merge(step.metrics);
    this.losses += step.loss;
    this.steps++;
    this.seconds += step.seconds;
    this.rows += step.numRows;
    this.tokens += step.tokens;
    const { every, stepsPerEpoch, firstStep, rowsPerSecond } = this.options;
    const isDue = step.step % (every === 0 ? stepsPerEpoch : every) === 0;
    if (!isDue && !(firstStep && step.step === 1) && !isLast) return undefined;

    const { loss: _, ...means } = this.metrics.means(); // of a line it is the mean of the steps' losses
    const record: LogRecord = {
      step: step.step,
      epoch: step.epoch,
      loss: this.losses / this.steps,
      grad_norm: step.gradNorm,
      learning_rate: step.learningRate,
      ...means,
      num_tokens: step.numTokens,
      tokens_per_second: this.tokens / this.seconds,
      [rowsPerSecond]: this.rows / this.seconds,
    };
    this.metrics = new Metrics();
    this.losses = 0;
    this.steps = 0;
    this.seconds = 0;
    this.rows = 0;
    this.tokens = 0;
    return record;
  }
}

/** The line an evaluation adds to the log: every metric with `eval_` before it. */
export function evaluationRecord(
  step: { step: number; epoch: number },
  metrics: Metrics,
  seconds: number,
  rows: number,
): LogRecord {
  const means = metrics.means();
  const isText = !("rewards/margins" in means);
  const named = Object.fromEntries(Object.entries(means).map(([name, value]) => [`eval_${name}`, value]));
  return {
    step: step.step,
    epoch: step.epoch,
    ...named,
    ...(isText && { eval_perplexity: Math.exp(means.loss!) }),
    eval_runtime: seconds,
    eval_samples_per_second: rows / seconds,
  };
}

/** log.jsonl: one object a line, appended as the run goes. */
export class RunLog {
  private constructor(
    readonly path: string,
    readonly records: LogRecord[],
  ) {}

  /** Opens the log of a run that stands at `step`: lines behind it, from an attempt that went further, are dropped. */
  static async open(path: string, step: number): Promise<RunLog> {
    const text = await readFile(path, "utf8").catch((cause) => {
      if (cause.code === "ENOENT") return "";
      throw new FileError(path, cause.message, { cause });
    });
    const records = step === 0 ? [] : parseLines(path, text).filter((record) => record.step! <= step);
    await writeFileAtomic(path, records.map(toLine).join(""));
    return new RunLog(path, records);
  }

  append(record: LogRecord): void {
    this.records.push(record);
    try {
      appendFileSync(this.path, toLine(record));
    } catch (cause) {
      throw new FileError(this.path, `cannot be appended to: ${(cause as Error).message}`, { cause });
    }
  }
}

const toLine = (record: LogRecord): string => `${JSON.stringify(record)}\n`;

/** The whole lines of a log; a line that a killed process left half-written is the end of it. */
function parseLines(path: string, text: string): LogRecord[] {
  const records: LogRecord[] = [];
  for (const line of text.split("\n").slice(0, -1)) {
    try {
      records.push(JSON.parse(line) as LogRecord);
    } catch (cause) {
      throw new FileError(path, `line ${records.length + 1} is not JSON: ${(cause as Error).message}`, { cause });
    }
  }
  return records;
}
