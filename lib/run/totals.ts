import { join } from "node:path";

import { writeFileAtomic } from "../base/files.js";
import { readJson } from "../base/json.js";
import type { StepRecord } from "../train/train.js";

const FILE = "run_totals.json";

/** What a run comes to so far, the parts before it was resumed included. */
export interface Totals {
  readonly steps: number;
  readonly epochs: number;
  readonly numTokens: number;
  /** Sums over the steps. */
  readonly losses: number;
  readonly rows: number;
  readonly tokens: number;
  /** Of each step. */
  readonly stepSeconds: readonly number[];
  /** Of the training loop, evaluation and saving included. */
  readonly trainSeconds: number;
  readonly referenceSeconds: number;
}

/** Gathers the totals. Its clock runs from the moment it is made. */
export class RunTotals {
  private readonly begun = performance.now();
  private before: Totals = {
    ...{ steps: 0, epochs: 0, numTokens: 0, losses: 0, rows: 0, tokens: 0 },
    ...{ stepSeconds: [], trainSeconds: 0, referenceSeconds: 0 },
  };
  private readonly stepSeconds: number[] = [];

  /** `referenceSeconds` are this part's. */
  constructor(private readonly referenceSeconds: number) {}

  add(step: StepRecord): void {
    this.stepSeconds.push(step.seconds);
    this.before = {
      ...this.before,
      steps: step.step,
      epochs: step.epoch,
      numTokens: step.numTokens,
      losses: this.before.losses + step.loss,
      rows: this.before.rows + step.numRows,
      tokens: this.before.tokens + step.tokens,
    };
  }

  get current(): Totals {
    return {
      ...this.before,
      stepSeconds: [...this.before.stepSeconds, ...this.stepSeconds],
      trainSeconds: this.before.trainSeconds + (performance.now() - this.begun) / 1000,
      referenceSeconds: this.before.referenceSeconds + this.referenceSeconds,
    };
  }

  async save(folder: string): Promise<void> {
    await writeFileAtomic(join(folder, FILE), `${JSON.stringify(this.current)}\n`);
  }

  /** Goes on from the totals in a checkpoint. */
  async load(folder: string): Promise<void> {
    this.before = (await readJson(join(folder, FILE))) as Totals;
  }
}
