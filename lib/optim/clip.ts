/** What gradients of this norm are to be scaled by, as torch's clip_grad_norm_ does it; no clipping for `maxNorm` 0. */
export function clipFactor(gradNorm: number, maxNorm: number): number {
  return maxNorm > 0 ? Math.min(1, maxNorm / (gradNorm + 1e-6)) : 1;
}
