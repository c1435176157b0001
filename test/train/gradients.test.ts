import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

import { loadModel } from "../../lib/checkpoint/load_model.js";
import { readSafetensorsHeader } from "../../lib/checkpoint/safetensors.js";
import type { TokenSequence } from "../../lib/data/encode.js";
import { cast } from "../../lib/kernels/cast.js";
import { fill } from "../../lib/kernels/fill.js";
import { logitsStride } from "../../lib/kernels/token_log_probs.js";
import type { Recompute } from "../../lib/model/block.js";
import type { Llama } from "../../lib/model/llama.js";
import { Device } from "../../lib/tensor/device.js";
import { DpoTask } from "../../lib/train/dpo.js";
import { SftTask } from "../../lib/train/sft.js";
import { TEST_DEVICE } from "../test_device.js";

// Losses and every parameter's gradient, computed by transformers and torch in float64 (make_tiny_model.py).
const FOLDERS = ["tiny-llama", "tiny-llama-bias", "tiny-llama-rope", "tiny-mistral"];

interface Golden {
  readonly sequences: number[][];
  readonly sft: {
    readonly loss: number;
    readonly tokens: number;
    readonly entropy: number;
    readonly mean_token_accuracy: number;
  };
  readonly dpo: {
    readonly beta: number;
    readonly prompt: number[];
    readonly chosen: number[];
    readonly rejected: number[];
    readonly reference_chosen_log_prob: number;
    readonly reference_rejected_log_prob: number;
    readonly chosen_log_prob: number;
    readonly rejected_log_prob: number;
    readonly chosen_reward: number;
    readonly margin: number;
    readonly loss: number;
  };
  readonly tolerance: { readonly token_log_prob: number; readonly loss: number; readonly gradient: number };
}

const place = { source: "golden", index: 0 };
const sequence = (ids: readonly number[]): TokenSequence => {
  return { ids: Int32Array.from(ids), trainable: new Uint8Array(ids.length).fill(1), place };
};

/** The largest error of every gradient, relative to the tensor's largest element. */
async function gradientErrors(model: Llama, file: string, prefix: string): Promise<Record<string, number>> {
  const { tensors } = await readSafetensorsHeader(file);
  const bytes = readFileSync(file);
  const errors: Record<string, number> = {};
  for (const { name } of model.parameters.specs) {
    const { begin, end } = tensors.get(`${prefix}.${name}`)!;
    const expected = new Float32Array(Uint8Array.from(bytes.subarray(begin, end)).buffer);
    const actual = await model.parameters.get(name).grad.readFloats();
    const scale = expected.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
    errors[name] = expected.reduce((max, value, i) => Math.max(max, Math.abs(value - actual[i]!)), 0) / scale;
  }
  return errors;
}

describe.each(FOLDERS)("%s", (name) => {
  const folder = `test/golden/${name}`;
  const golden = JSON.parse(readFileSync(`${folder}/golden.json`, "utf8")) as Golden;
  const within = (tolerance: number, errors: Record<string, number>) => {
    expect(Object.entries(errors).filter(([, error]) => !(error < tolerance))).toEqual([]);
  };

  // A budget of one token gives each row a batch of its own: packing must not change the gradient. With a budget of one
  // label the logits of every row are computed twice.
  test.each([{ tokenBudget: 1 }, { tokenBudget: 4096 }, { tokenBudget: 4096, labelBudget: 1 }])(
    "SFT's loss and gradients, packed to %o",
    async (budgets) => {
      using device = Device.open(TEST_DEVICE);
      using model = await loadModel(device, folder, { dtype: "f32", trainable: true });
      using task = new SftTask(model, budgets);
      const rows = golden.sequences.map(sequence);
      expect(task.count(rows)).toBe(golden.sft.tokens);

      fill(model.parameters.gradients, 0);
      const metrics = await task.forwardBackward(rows, 1 / task.count(rows));
      expect(Math.abs(metrics.mean("loss") - golden.sft.loss)).toBeLessThan(golden.tolerance.loss);
      expect(metrics.mean("entropy")).toBeCloseTo(golden.sft.entropy, 4);
      expect(metrics.mean("mean_token_accuracy")).toBeCloseTo(golden.sft.mean_token_accuracy, 6);
      within(golden.tolerance.gradient, await gradientErrors(model, `${folder}/golden.safetensors`, "sft_grad"));
      expect((await task.forward(rows)).mean("loss")).toBe(metrics.mean("loss"));
    },
  );

  test("what is computed twice gives the same gradients, and takes less memory", async () => {
    using device = Device.open(TEST_DEVICE);
    using model = await loadModel(device, folder, { dtype: "f32", trainable: true });
    const run = async (recompute: Recompute) => {
      using task = new SftTask(model, { tokenBudget: 4096, recompute });
      fill(model.parameters.gradients, 0);
      const metrics = await task.forwardBackward(golden.sequences.map(sequence), 1 / golden.sft.tokens);
      return { loss: metrics.mean("loss"), gradients: await model.parameters.gradients.readFloats(), peak: task.peak };
    };
    const [all, some, least] = [await run("none"), await run("elementwise"), await run("block")];
    for (const { loss, gradients } of [some, least]) {
      expect(loss).toBe(all.loss);
      expect(gradients).toEqual(all.gradients);
    }
    expect(some.peak.kept).toBeLessThan(all.peak.kept);
    expect(least.peak.kept).toBeLessThan(some.peak.kept);
  });

  test("bf16 follows f32 on the same weights, and repeats itself to the last bit", async () => {
    using device = Device.open(TEST_DEVICE);
    const run = async (model: Llama) => {
      using task = new SftTask(model, { tokenBudget: 4096 });
      fill(model.parameters.gradients, 0);
      await task.forwardBackward(golden.sequences.map(sequence), 1 / golden.sft.tokens);
      return await Promise.all(model.parameters.specs.map(({ name }) => model.parameters.get(name).grad.readFloats()));
    };
    using bf16 = await loadModel(device, folder, { dtype: "bf16", trainable: true });
    using f32 = await loadModel(device, folder, { dtype: "f32", trainable: true });
    cast(f32.parameters.weights, bf16.parameters.weights);
    const [once, again, exact] = [await run(bf16), await run(bf16), await run(f32)];
    expect(again).toEqual(once);
    const norm = (values: Float32Array) => Math.hypot(...values);
    const far = exact.map((values, i) => norm(values.map((value, k) => value - once[i]![k]!)) / norm(values));
    // A rounding to 8 bits is 2^-9 of the value, and some fifteen of them lie between a weight and its gradient.
    expect(far.filter((distance) => !(distance < 0.04))).toEqual([]);
    expect(far.reduce((sum, distance) => sum + distance) / far.length).toBeLessThan(0.025);
  });

  test("DPO's loss, rewards and gradients with the prompt computed once", async () => {
    const { dpo, tolerance } = golden;
    using device = Device.open(TEST_DEVICE);
    using model = await loadModel(device, folder, { dtype: "f32", trainable: true });
    using task = new DpoTask(model, { beta: dpo.beta, labelSmoothing: 0, tokenBudget: 4096 });
    const [prompt, chosen, rejected] = [dpo.prompt, dpo.chosen, dpo.rejected].map((ids) => Int32Array.from(ids));
    const pair = { prompt: prompt!, chosen: chosen!, rejected: rejected!, place };
    const [logProbs] = await task.logProbs([pair]);
    expect(logProbs!.refChosen).toBeCloseTo(dpo.chosen_log_prob, 3);
    expect(logProbs!.refRejected).toBeCloseTo(dpo.rejected_log_prob, 3);

    fill(model.parameters.gradients, 0);
    const row = { ...pair, refChosen: dpo.reference_chosen_log_prob, refRejected: dpo.reference_rejected_log_prob };
    const metrics = await task.forwardBackward([row], 1);
    expect(Math.abs(metrics.mean("loss") - dpo.loss)).toBeLessThan(tolerance.loss * 10);
    expect(metrics.mean("rewards/chosen")).toBeCloseTo(dpo.chosen_reward, 4);
    expect(metrics.mean("rewards/margins")).toBeCloseTo(dpo.margin, 4);
    within(tolerance.gradient, await gradientErrors(model, `${folder}/golden.safetensors`, "dpo_grad"));
  });
});

describe("the label budget", () => {
  const row = sequence([1, 5, 9, 13, 17, 21]); // 5 labels
  const pair = { prompt: row.ids.slice(0, 2), chosen: row.ids.slice(2, 4), rejected: row.ids.slice(3), place };
  const load = (device: Device) => loadModel(device, "test/golden/tiny-llama", { dtype: "f32", trainable: true });

  test("bounds the logits that wait for DPO's backward pass: beyond it there are none", async () => {
    using device = Device.open(TEST_DEVICE);
    using model = await load(device);
    const kept = async (labelBudget: number) => {
      using dpo = new DpoTask(model, { beta: 0.1, labelSmoothing: 0, tokenBudget: 4096, labelBudget });
      await dpo.forwardBackward([{ ...pair, refChosen: 0, refRejected: 0 }], 1);
      return dpo.peak.kept;
    };
    const bytes = 5 * 4 * logitsStride(model.config.vocabSize);
    const less = (await kept(5)) - (await kept(4));
    expect(less).toBeGreaterThan(bytes - 64); // an arena hands out multiples of 64
    expect(less).toBeLessThan(bytes + 64);
  });

  test.each([1, 2, 4])("cuts SFT's labels into shares of at most %i, which add up", async (labelBudget) => {
    using device = Device.open(TEST_DEVICE);
    using model = await load(device);
    const rows = [{ ...row, trainable: Uint8Array.of(0, 0, 1, 1, 0, 1) }, row]; // the first has 3 labels, with a gap
    const run = async (budget: number) => {
      using sft = new SftTask(model, { tokenBudget: 4096, labelBudget: budget });
      fill(model.parameters.gradients, 0);
      const metrics = await sft.forwardBackward(rows, 1);
      const gradients = await model.parameters.gradients.readFloats();
      return { loss: metrics.mean("loss"), gradients, logits: sft.peak.parts!.head!.kept };
    };
    const [whole, shares] = [await run(8), await run(labelBudget)];
    expect(shares.loss).toBeCloseTo(whole.loss, 6);
    const largest = whole.gradients.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const apart = whole.gradients.map((value, i) => Math.abs(value - shares.gradients[i]!));
    expect(apart.reduce((most, value) => Math.max(most, value))).toBeLessThan(1e-5 * largest);
    expect(whole.logits - shares.logits).toBeGreaterThan(
      (8 - labelBudget) * 4 * logitsStride(model.config.vocabSize) - 640,
    );
  });
});

test("micro-batches of different rows add up to the gradient of all of them", async () => {
  using device = Device.open(TEST_DEVICE);
  using model = await loadModel(device, "test/golden/tiny-llama", { dtype: "f32", trainable: true });
  using task = new SftTask(model, { tokenBudget: 4096 });
  const rows = [
    [1, 5, 9, 13],
    [1, 2],
    [1, 60, 61, 62, 63, 64, 65, 66],
  ].map(sequence);
  const gradientOf = async (batches: (readonly TokenSequence[])[]) => {
    fill(model.parameters.gradients, 0);
    for (const batch of batches) await task.forwardBackward(batch, 0.1);
    return model.parameters.gradients.readFloats();
  };
  const together = await gradientOf([rows]);
  const apart = await gradientOf(rows.map((row) => [row]));
  const scale = together.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  expect(scale).toBeGreaterThan(0);
  together.forEach((value, i) => {
    if (Math.abs(value - apart[i]!) > 1e-5 * scale) expect.fail(`gradient ${i}: ${value} and ${apart[i]}`);
  });
});
