import type { RowPlace } from "../base/errors.js";

/** A row of token ids. Token i is learned, from the tokens before it, where `trainable[i]` is 1. */
export interface TokenSequence {
  readonly ids: Int32Array;
  readonly trainable: Uint8Array;
  readonly place: RowPlace;
}

/** A prompt and two answers, as token ids. */
export interface TokenPair {
  readonly prompt: Int32Array;
  readonly chosen: Int32Array;
  readonly rejected: Int32Array;
  readonly place: RowPlace;
}
