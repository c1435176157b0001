import type { Arena } from "../tensor/arena.js";
import type { Tensor } from "../tensor/tensor.js";
import { call } from "./call.js";

// P = pairs, S = 2 P sequences: the chosen answers, then the rejected ones

export interface DpoLossOptions {
  readonly beta: number;
  readonly labelSmoothing: number;
  /** 1 / (pairs of the whole step) */
  readonly gradScale: number;
}

export interface DpoLoss {
  readonly loss: Tensor<"P">;
  readonly chosenReward: Tensor<"P">;
  readonly rejectedReward: Tensor<"P">;
  /** The gradient of `gradScale * sum(loss)` by the policy's log-probabilities. */
  readonly dpolicy: Tensor<"S">;
}

/** DPO's loss and gradient from summed log-probabilities of the answers. See native/kernels/dpo_loss.h. */
export function dpoLoss(
  arena: Arena,
  policy: Tensor<"S">,
  reference: Tensor<"S">,
  { beta, labelSmoothing, gradScale }: DpoLossOptions,
): DpoLoss {
  const P = policy.shape[0]! / 2;
  const chosen = (sequences: Tensor<"S">) => sequences.view<"P">([P]);
  const rejected = (sequences: Tensor<"S">) => sequences.view<"P">([P], P);
  const perPair = () => arena.empty<"P">([P], "f32");
  const result = {
    loss: perPair(),
    chosenReward: perPair(),
    rejectedReward: perPair(),
    dpolicy: arena.empty<"S">([2 * P], "f32"),
  };
  call("dpo_loss", {
    policy_chosen: chosen(policy),
    policy_rejected: rejected(policy),
    ref_chosen: chosen(reference),
    ref_rejected: rejected(reference),
    loss: result.loss,
    chosen_reward: result.chosenReward,
    rejected_reward: result.rejectedReward,
    dpolicy_chosen: chosen(result.dpolicy),
    dpolicy_rejected: rejected(result.dpolicy),
    beta,
    label_smoothing: labelSmoothing,
    grad_scale: gradScale,
  });
  return result;
}
