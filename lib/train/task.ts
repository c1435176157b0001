import type { Metrics } from "./metrics.js";

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
