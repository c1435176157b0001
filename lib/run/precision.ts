import type { ParametersOptions } from "../model/parameters.js";
import type { TrainingRecipe } from "../recipe/schema.js";
import type { Device } from "../tensor/device.js";

/**
 * What a run computes in: bf16 with f32 sums, or f32; and whether bf16 weights have an f32 master. Where the recipe does
 * not say, bf16 on a GPU and f32 on the CPU.
 */
export function precisionOf(recipe: TrainingRecipe, device: Device): Pick<ParametersOptions, "dtype" | "master"> {
  const { dtype, bf16, master_weights: master } = recipe;
  if (dtype === "float32" || bf16 === false) return { dtype: "f32" };
  const isBf16 = device.kind === "cuda" || dtype === "bfloat16" || bf16 === true;
  return isBf16 ? { dtype: "bf16", master } : { dtype: "f32" };
}
