import { appendFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { FileError } from "../base/errors.js";
import { writeFileAtomic } from "../base/files.js";
import { readJson } from "../base/json.js";
import type { LogRecord } from "../report/report.js";
import { type MetricEntry, Metrics } from "../train/metrics.js";
import type { StepRecord } from "../train/train.js";

/** What of a task's metrics is a rate of something rather than a mean: rows are pairs in a preference run. */
export interface LogOptions {
  /** Steps between two lines; 0 is at the end of each epoch, Infinity only at the end of the run. */
  readonly every: number;
  readonly stepsPerEpoch: number;
  readonly firstStep: boolean;
  readonly rowsPerSecond: "pairs_per_second" | "rows_per_second";
}

/** Sums over the steps that no line has told of yet. */
interface OpenLine {
  readonly metrics: Metrics;
  readonly losses: number;
  readonly steps: number;
  readonly seconds: number;
  readonly rows: number;
  readonly tokens: number;
}

const emptyLine = (): OpenLine => ({ metrics: new Metrics(), losses: 0, steps: 0, seconds: 0, rows: 0, tokens: 0 });

/** Gathers the steps since the last line of the log, and makes the next one: means over them, TRL's names. */
export class LogWindow {
  private open = emptyLine();

  constructor(private readonly options: LogOptions) {}

  /** The line that is due after this step, if one is. */
  add(step: StepRecord, isLast: boolean): LogRecord | undefined {
    this.open = including(this.open, step);
    if (!this.isDue(step) && !isLast) return undefined;

    const { metrics, losses, steps, seconds, rows, tokens } = this.open;
    const { loss: _, ...means } = metrics.means(); // of a line it is the mean of the steps' losses
    this.open = emptyLine();
    return {
      step: step.step,
      epoch: step.epoch,
      loss: losses / steps,
      grad_norm: step.gradNorm,
      learning_rate: step.learningRate,
      ...means,
      num_tokens: step.numTokens,
      tokens_per_second: tokens / seconds,
      [this.options.rowsPerSecond]: rows / seconds,
    };
  }

  /** Keeps in a checkpoint what the next line begins with. */
  async save(folder: string): Promise<void> {
    await writeFileAtomic(join(folder, WINDOW_FILE), `${JSON.stringify(this.open)}\n`);
  }

  async load(folder: string): Promise<void> {
    const stored = await readJson(join(folder, WINDOW_FILE));
    const { metrics, ...sums } = stored as OpenLine & { metrics: MetricEntry[] };
    this.open = { ...sums, metrics: Metrics.from(metrics) };
  }

  private isDue({ step }: StepRecord): boolean {
    const { every, stepsPerEpoch, firstStep } = this.options;
    return step % (every === 0 ? stepsPerEpoch : every) === 0 || (firstStep && step === 1);
  }
}

const WINDOW_FILE = "log_window.json";

function including(open: OpenLine, step: StepRecord): OpenLine {
  const metrics = Metrics.from(open.metrics.toJSON());
  metrics.merge(step.metrics);
  return {
    metrics,
    losses: open.losses + step.loss,
    steps: open.steps + 1,
    seconds: open.seconds + step.seconds,
    rows: open.rows + step.numRows,
    tokens: open.tokens + step.tokens,
  };
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

  /** Opens the log of a run that stands at `step`: lines behind it, from an attempt that went further or ended, go. */
  static async open(path: string, step: number): Promise<RunLog> {
    const text = await readFile(path, "utf8").catch((cause) => {
      if (cause.code === "ENOENT") return "";
      throw new FileError(path, cause.message, { cause });
    });
    const records = step === 0 ? [] : parseLines(path, text).filter((record) => record.step! <= step && !isEnd(record));
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

const isEnd = (record: LogRecord): boolean => "train_loss" in record;

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
