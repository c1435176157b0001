import type { Arrays, Axes } from "../kernels/conformance.js";

type Inputs = Arrays<"policy_chosen" | "policy_rejected" | "ref_chosen" | "ref_rejected">;
type Results = Arrays<"loss" | "chosen_reward" | "rejected_reward" | "dpolicy_chosen" | "dpolicy_rejected">;

const logSigmoid = (m: number) => Math.min(m, 0) - Math.log1p(Math.exp(-Math.abs(m)));

export function dpoLoss(
  { policy_chosen, policy_rejected, ref_chosen, ref_rejected }: Inputs,
  _axes: Axes<"P">,
  { beta, label_smoothing: e, grad_scale }: { beta: number; label_smoothing: number; grad_scale: number },
): Results {
  const chosen_reward = policy_chosen.map((value, p) => beta * (value - ref_chosen[p]!));
  const rejected_reward = policy_rejected.map((value, p) => beta * (value - ref_rejected[p]!));
  const margin = chosen_reward.map((reward, p) => reward - rejected_reward[p]!);
  const loss = margin.map((m) => -(1 - e) * logSigmoid(m) - e * logSigmoid(-m));
  // d log_sigmoid(m) / dm = sigmoid(-m)
  const dmargin = margin.map((m) => -(1 - e) * Math.exp(logSigmoid(-m)) + e * Math.exp(logSigmoid(m)));
  const dpolicy_chosen = dmargin.map((d) => grad_scale * beta * d);
  return { loss, chosen_reward, rejected_reward, dpolicy_chosen, dpolicy_rejected: dpolicy_chosen.map((d) => -d) };
}
