import type { TrainingRecipe } from "../recipe/schema.js";
import type { Device } from "../tensor/device.js";

/** What a run computes in: f32 on the CPU; on a GPU bf16 with f32 sums and an f32 master, unless the recipe says f32. */
export function precisionOf(recipe: TrainingRecipe, device: Device): "f32" | "bf16" {
  if (device.kind === "cpu") return "f32";
  return recipe.dtype === "float32" || recipe.bf16 === false ? "f32" : "bf16";
}
