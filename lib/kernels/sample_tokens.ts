import type { Arena } from "../tensor/arena.js";
import type { Tensor } from "../tensor/tensor.js";
import { call } from "./call.js";

// R = rows of logits, V = vocabulary, E = entries, S, T = tokens that were drawn and of the next step

/** How a row's token is drawn. */
export interface Draw {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  /** 32 random bits. */
  readonly random: number;
}

/** What becomes of one logit: away from 0 by `repetition`, then `shift` added. */
export interface LogitChange {
  readonly row: number;
  readonly id: number;
  readonly repetition: number;
  readonly shift: number;
}

/** Penalties and biases, each of another logit. See native/kernels/sample_tokens.h. */
export function adjustLogits(arena: Arena, logits: Tensor<"R,V">, changes: readonly LogitChange[]): void {
  const rows = arena.from<"E">(Int32Array.from(changes, ({ row }) => row));
  const ids = arena.from<"E">(Int32Array.from(changes, ({ id }) => id));
  const both = Float32Array.from({ length: 2 * changes.length }, (_, i) => {
    const { repetition, shift } = changes[i >> 1]!;
    return i % 2 === 0 ? repetition : shift;
  });
  call("adjust_logits", { rows, ids, change: arena.from<"E,2">(both, [changes.length, 2]), logits });
}

/** A token for each row of logits, i32, in `keep`. See native/kernels/sample_tokens.h. */
export function sampleTokens(
  arena: Arena,
  logits: Tensor<"R,V">,
  draws: readonly Draw[],
  keep: Arena = arena,
): Tensor<"R"> {
  const settings = new Float32Array(3 * draws.length);
  const numbers = new Int32Array(2 * draws.length);
  draws.forEach(({ temperature, topP, minP, topK, random }, row) => {
    settings.set([temperature, topP, minP], 3 * row);
    numbers.set([topK, random], 2 * row);
  });
  const tokens = keep.empty<"R">([draws.length], "i32");
  call("sample_tokens", {
    logits,
    settings: arena.from<"R,3">(settings, [draws.length, 3]),
    draws: arena.from<"R,2">(numbers, [draws.length, 2]),
    tokens,
  });
  return tokens;
}

/** Tokens that were drawn in one step, and their places in the next: drawn[from[n]] goes to to[n]. */
export interface Moves {
  readonly drawn: Tensor<"R">;
  readonly from: Int32Array;
  readonly to: Int32Array;
}

/** Overwrites tokens by some that were drawn. See native/kernels/sample_tokens.h. */
export function moveTokens(arena: Arena, tokens: Tensor<"T">, { drawn, from, to }: Moves): void {
  call("move_tokens", { sampled: drawn, from: arena.from<"N">(from), to: arena.from<"N">(to), tokens });
}
