import { logitsStride } from "../kernels/token_log_probs.js";
import type { Recompute } from "../model/block.js";
import type { ArenaBytes } from "../tensor/arena.js";
import type { Metrics } from "./metrics.js";

/** A task that holds memory on a model's device. */
export interface DeviceTask<Row> extends Task<Row>, Disposable {
  /** What the micro-batches so far took at most for activations. */
  readonly peak: ArenaBytes;
}

export interface TaskOptions {
  /** Most tokens that go through the model at once; it changes memory and speed, not the result. */
  readonly tokenBudget: number;
  /**
   * Most labels at once whose logits wait for the backward pass; default as many as 128 MiB hold. A row that has more
   * goes through alone: SFT takes its labels in shares, DPO computes its logits twice.
   */
  readonly labelBudget?: number;
  /** What is computed a second time for the backward pass: less memory, more work. */
  readonly recompute?: Recompute;
  /** Memory for activations to take in advance; default none. It grows where that is too little. */
  readonly reserve?: ArenaBytes;
}

/** What is being learned, from rows of one kind. `SftTask` and `DpoTask` are the two there are. */
export interface Task<Row> {
  /** What the loss is a mean over: the labels of SFT rows, the pairs of DPO rows. */
  count(rows: readonly Row[]): number;
  /** Tokens of these rows as a trainer without packing sees them, for `num_tokens`. */
  countTokens(rows: readonly Row[]): number;
  /**
   * Enqueues forward and backward of one micro-batch: adds `scale` times the gradient of the summed loss to the
   * gradients. The metrics arrive when the device has got there; `loss` among them is a sum over what `count` counts.
   */
  forwardBackward(rows: readonly Row[], scale: number): Promise<Metrics>;
  /** The metrics without the gradients. */
  forward(rows: readonly Row[]): Promise<Metrics>;
}

/** Bytes of logits that wait for a backward pass at most, unless a task is told otherwise. */
export const LOGITS_BYTES = { cpu: 2 ** 27, cuda: 2 ** 31 };

/** How many labels' logits fit into so many bytes: one at least. */
export const labelsIn = (bytes: number, vocabSize: number): number =>
  Math.max(1, Math.floor(bytes / (4 * logitsStride(vocabSize))));

/** Both budgets, what is left out added. */
export const budgetsOf = ({ tokenBudget, labelBudget }: TaskOptions, vocabSize: number) => ({
  tokenBudget,
  labelBudget: labelBudget ?? labelsIn(LOGITS_BYTES.cpu, vocabSize),
});
