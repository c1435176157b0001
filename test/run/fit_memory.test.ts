import { expect, test } from "vitest";

import { readModelConfig } from "../../lib/model/config.js";
import { initialise } from "../../lib/model/init.js";
import { Llama } from "../../lib/model/llama.js";
import type { ParametersOptions } from "../../lib/model/parameters.js";
import { AdamW, type MomentsDtype } from "../../lib/optim/adamw.js";
import type { TrainingRecipe } from "../../lib/recipe/schema.js";
import { fitMemory } from "../../lib/run/fit_memory.js";
import type { Prepared } from "../../lib/run/prepared.js";
import type { Settings } from "../../lib/run/settings.js";
import { totalBytes } from "../../lib/tensor/arena.js";
import { Device } from "../../lib/tensor/device.js";
import { DpoTask, type ReferencedPair } from "../../lib/train/dpo.js";

const config = await readModelConfig("assets/quickstart");
const precision = { config, dtype: "bf16", trainable: true } as const;
const recipe = {
  token_budget: null,
  recompute: "auto",
  per_device_train_batch_size: 8,
  per_device_eval_batch_size: 4,
} as TrainingRecipe;
const settings = { optimizer: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 } } as Settings;

const pairOf = (prompt: number, chosen: number, rejected: number): ReferencedPair => ({
  prompt: new Int32Array(prompt),
  chosen: new Int32Array(chosen),
  rejected: new Int32Array(rejected),
  refChosen: 0,
  refRejected: 0,
  place: { source: "test", index: 0 },
});
const prepared = {
  longest: 700,
  task: (model: Llama, options) => new DpoTask(model, { ...options, beta: 0.1, labelSmoothing: 0 }),
  widestRow: (tokens, labels) => {
    const prompt = Math.max(1, tokens - labels);
    return pairOf(prompt, Math.ceil((tokens - prompt) / 2), Math.floor((tokens - prompt) / 2));
  },
} as Pick<Prepared<ReferencedPair>, "longest" | "task" | "widestRow"> as Prepared<ReferencedPair>;

/** A GPU of which only the memory is asked. */
const gpuWith = (free: number) => ({ kind: "cuda", description: "cuda:0", memory: { free, total: free } }) as Device;

test("what is planned is what a step takes", async () => {
  const { reserve, labelBudget } = await fitMemory(gpuWith(2 ** 40), recipe, settings, prepared, precision);
  using device = Device.cpu();
  using model = new Llama(device, config, { dtype: "bf16", trainable: true });
  initialise(model, 1);
  using task = prepared.task(model, { tokenBudget: 5600, labelBudget: labelBudget! });
  await task.forwardBackward([prepared.widestRow(8 * 700, labelBudget!)], 1);
  expect(task.peak).toEqual(reserve);
  await task.forwardBackward([pairOf(100, 1000, 900), pairOf(900, 1100, 1200)], 1);
  expect(task.peak).toEqual(reserve);
});

test("a CPU takes memory in advance where there is enough of it", async () => {
  const cpuWith = (free: number) => ({ ...gpuWith(free), kind: "cpu" }) as Device;
  const f32 = { ...precision, dtype: "f32" } as const;
  expect((await fitMemory(cpuWith(2 ** 40), recipe, settings, prepared, f32)).reserve?.kept).toBeGreaterThan(0);
  expect(await fitMemory(cpuWith(2 ** 30), recipe, settings, prepared, f32)).not.toHaveProperty("reserve");
});

test("blocks are computed twice where memory is shorter still, or always when asked", async () => {
  const once = { ...recipe, token_budget: 2048, recompute: "none" } as TrainingRecipe;
  const twice = { ...once, recompute: "block" } as TrainingRecipe;
  const planFor = (free: number, given: TrainingRecipe) =>
    fitMemory(gpuWith(free), given, settings, prepared, precision);
  const [less, more] = [await planFor(2 ** 40, twice), await planFor(2 ** 40, once)];
  expect([less.recompute, more.recompute]).toEqual(["block", "none"]);
  expect(totalBytes(less.reserve!)).toBeLessThan(totalBytes(more.reserve!));

  const states = 1.5 * 2 ** 30 + 16 * (await elements());
  const between = states + (totalBytes(less.reserve!) + totalBytes(more.reserve!)) / 2;
  expect(await planFor(between, { ...once, recompute: "auto" } as TrainingRecipe)).toEqual(less);
  await expect(planFor(between, once)).rejects.toMatchObject({ code: "ERR_OUT_OF_MEMORY" });
});

test("bytes of a parameter by what is kept of it: weight, master, gradient, moments", () => {
  using device = Device.plan();
  const perParameter = (options: Partial<ParametersOptions>, moments: MomentsDtype) => {
    using model = new Llama(device, config, { ...precision, ...options });
    using optimizer = new AdamW(model.parameters, { ...settings.optimizer, moments });
    const { weights, gradients } = model.parameters.bytes;
    return (weights + gradients + optimizer.bytes) / model.parameters.weights.size;
  };
  expect(perParameter({ dtype: "f32" }, "f32")).toBeCloseTo(16, 0);
  expect(perParameter({}, "f32")).toBeCloseTo(16, 0);
  expect(perParameter({}, "bf16")).toBeCloseTo(12, 0);
  expect(perParameter({}, "u8")).toBeCloseTo(10, 0);
  expect(perParameter({ master: false }, "u8")).toBeCloseTo(8, 0);
});

async function elements(): Promise<number> {
  using device = Device.plan();
  using model = new Llama(device, config, { dtype: "bf16", trainable: true });
  return model.parameters.weights.size;
}

test("fewer tokens at once where memory is short, and a table where nothing fits", async () => {
  const free = async (bytes: number) => fitMemory(gpuWith(bytes), recipe, settings, prepared, precision);
  const all = await free(2 ** 40);
  const states = 1.5 * 2 ** 30 + 20 * 2 ** 20;
  const some = await free(states + totalBytes(all.reserve!) / 2);
  expect(all.tokenBudget).toBe(16384);
  expect(some.tokenBudget).toBeLessThan(8192);
  expect(some.reserve!.kept).toBeLessThan(all.reserve!.kept);
  const refused = await free(2 ** 30).catch((error: Error) => error);
  expect(refused).toMatchObject({ code: "ERR_OUT_OF_MEMORY" });
  expect((refused as Error).message).toMatch(/cuda:0: a step needs 1\.\d\d GiB, 1\.00 GiB are free.*\n.*part/);
  expect((refused as Error).message).toMatch(/activations kept for backward/);
});
