import type { TrainingRecipe } from "../recipe/schema.js";
import type { Device } from "../tensor/device.js";

/**
 * What a run computes in: bf16 with f32 sums and an f32 master, or f32. Where the recipe does not say, bf16 on a GPU and
 * f32 on the CPU.
 */
export function precisionOf({ dtype, bf16 }: TrainingRecipe, device: Device): "f32" | "bf16" {
  if (dtype === "float32" || bf16 === false) return "f32";
  return device.kind === "cuda" || dtype === "bfloat16" || bf16 === true ? "bf16" : "f32";
}
