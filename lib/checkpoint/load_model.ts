import { ModelError } from "../base/errors.js";
import { globalNorm } from "../kernels/global_norm.js";
import { readModelConfig } from "../model/config.js";
import { Llama } from "../model/llama.js";
import type { Parameters, ParametersOptions } from "../model/parameters.js";
import { native } from "../native/load.js";
import type { LoadedDtype } from "../native/surface.js";
import { Arena } from "../tensor/arena.js";
import type { Device } from "../tensor/device.js";
import type { AnyTensor } from "../tensor/tensor.js";
import { resolveWeights } from "./resolve_weights.js";
import { type LocatedTensor, locateWeights } from "./weights_index.js";

/**
 * The model of a folder in Hugging Face's layout, its weights converted from F32, BF16 or F16. Throws ModelError or
 * FileError when a file is missing, damaged or not of this model, and when a weight is not a finite number.
 */
export async function loadModel(device: Device, folder: string, options: ParametersOptions): Promise<Llama> {
  const config = await readModelConfig(folder);
  const located = await resolveWeights(config, await locateWeights(folder), folder);
  const model = new Llama(device, config, options);
  try {
    await loadWeights(model.parameters, located, folder);
    return model;
  } catch (error) {
    model[Symbol.dispose]();
    throw error;
  }
}

/** Overwrites every parameter with the tensor of its name. */
export async function loadWeights(
  parameters: Parameters,
  located: ReadonlyMap<string, LocatedTensor>,
  place: string,
): Promise<void> {
  await loadTensors(
    parameters.specs.flatMap(({ name }) => {
      return parameters.halves(name).map((half) => [half, located.get(name)!] as const);
    }),
  );
  const arena = new Arena(parameters.device);
  try {
    const normOf = async (tensor: AnyTensor) => {
      const [norm] = await globalNorm(tensor.view([tensor.size]), arena.empty<"1">([1], "f32")).readFloats();
      return norm!;
    };
    if (Number.isFinite(await normOf(parameters.weights))) return;
    for (const { name } of parameters.specs) {
      const norm = await normOf(parameters.get(name).value);
      if (!Number.isFinite(norm)) throw new ModelError(place, `${name} holds NaN or infinity, expected finite weights`);
    }
    throw new ModelError(place, "the weights are so large that the sum of their squares overflows");
  } finally {
    arena[Symbol.dispose]();
  }
}

/** Enqueues the filling of tensors from files and waits for it. */
export async function loadTensors(pairs: readonly (readonly [AnyTensor, LocatedTensor])[]): Promise<void> {
  const files = new Map<string, number>();
  try {
    for (const [tensor, { file, begin, dtype }] of pairs) {
      if (!files.has(file)) files.set(file, native.openFile(file));
      native.loadTensor(tensor.handle, files.get(file)!, begin, dtype as LoadedDtype);
    }
    await pairs[0]?.[0].device.sync();
  } finally {
    for (const handle of files.values()) native.closeFile(handle);
  }
}
