import type { Arena } from "../tensor/arena.js";
import type { Tensor } from "../tensor/tensor.js";
import { call } from "./call.js";

// T = packed tokens, C = hidden size, V = vocabulary, N = pairs of a row and a label

/** What the backward pass reads. */
export interface TokenLogProbsSaved {
  readonly hidden: Tensor<"T,C">;
  readonly weight: Tensor<"V,C">;
  readonly rows: Tensor<"N">;
  readonly labels: Tensor<"N">;
  readonly lse: Tensor<"N">;
  /** Of no rows when they were not kept. */
  readonly logits: Tensor<"L,S">;
}

export interface TokenLogProbs {
  readonly logProbs: Tensor<"N">;
  /** Of the whole distribution, in nats. */
  readonly entropy: Tensor<"N">;
  /** 1 where the label is the most likely token, else 0. */
  readonly correct: Tensor<"N">;
  /** Of the row over the vocabulary. */
  readonly meanLogit: Tensor<"N">;
  readonly saved: TokenLogProbsSaved;
}

/** Numbers in a row of logits that are kept, so that rows begin on 32 bytes. */
export const logitsStride = (vocabSize: number): number => Math.ceil(vocabSize / 8) * 8;

/**
 * Log-probabilities of labels under the head. Logits exist in chunks only, unless the backward pass is to find them
 * (`keepLogits`): it saves a third of its products and they take 4 V bytes a label. See native/kernels/token_log_probs.h.
 */
export function tokenLogProbs(
  arena: Arena,
  { hidden, weight, rows, labels }: Omit<TokenLogProbsSaved, "lse" | "logits">,
  { keepLogits }: { readonly keepLogits: boolean },
): TokenLogProbs {
  const perPair = () => arena.empty<"N">(rows.shape, "f32");
  const [logProbs, lse, entropy, correct, meanLogit] = [perPair(), perPair(), perPair(), perPair(), perPair()];
  const logits = arena.empty<"L,S">([keepLogits ? rows.size : 0, logitsStride(weight.shape[0]!)], "f32");
  const outputs = { log_probs: logProbs, lse, entropy, correct, mean_logit: meanLogit, logits };
  call("token_log_probs_forward", { hidden, weight, rows, labels, ...outputs });
  return { logProbs, entropy, correct, meanLogit, saved: { hidden, weight, rows, labels, lse, logits } };
}

/** Returns `dhidden`; adds to `dweight`. */
export function tokenLogProbsBackward(
  arena: Arena,
  dlogProbs: Tensor<"N">,
  saved: TokenLogProbsSaved,
  dweight: Tensor<"V,C">,
  dhidden = arena.empty<"T,C">(saved.hidden.shape, saved.hidden.dtype),
): Tensor<"T,C"> {
  call("token_log_probs_backward", { ...saved, dlog_probs: dlogProbs, dhidden, dweight });
  return dhidden;
}
