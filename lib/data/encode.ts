import type { RowPlace } from "../base/errors.js";

/** One row as token ids. `trainable[i]` says whether predicting `ids[i]` counts towards the loss. */
export interface TokenSequence {
  readonly ids: Int32Array; // [N]
  readonly trainable: Uint8Array; // [N], 0 | 1
  readonly place: RowPlace;
}

/** A preference pair as token ids; every token of an answer counts. */
export interface TokenPair {
  readonly prompt: Int32Array;
  readonly chosen: Int32Array;
  readonly rejected: Int32Array;
  readonly place: RowPlace;
}
