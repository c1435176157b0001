import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import {
  encodePairs,
  loadDataset,
  readModelConfig,
  resolveChatTemplate,
  Tokenizer,
  toPreferencePair,
} from "../../lib/index.js";
import { median } from "../median.js";
import { countFlops, sizeOfPairs, sizeOfSequences } from "../step_flops.js";
import { type End, type Step, Stepper } from "./stepper.js";
import type { Training } from "./workloads.js";

const HERE = import.meta.dirname;
const MALLOC_TUNED = { MALLOC_MMAP_THRESHOLD_: "4294967296", MALLOC_TRIM_THRESHOLD_: "4294967296" };
const MAX_LENGTH = 512;
/** Both sides drop rows whose prompt fills max_length; SFT rows are cut from texts of which most are shorter than two. */
const ROWS_TO_SPARE = { dpo: 8, sft: 64 };

export interface Setting {
  readonly python: string;
  /** A folder that both can load. */
  readonly model: string;
  readonly rows: string;
  /** Of both: cpu or cuda. */
  readonly device: string;
  readonly threads: number;
  /** Steps that are timed. */
  readonly steps: number;
  /** Steps before them. */
  readonly warmUps: number;
  /** FLOP/s of the library's products. */
  readonly measurePeak: () => Promise<number>;
}

export interface TrainingResult {
  /** Pairs or tokens a second. */
  readonly peer: number;
  readonly ours: number;
  /** Of each step. */
  readonly ratios: readonly number[];
  readonly peer_bytes: number;
  readonly bytes: number;
  /** How far apart the losses of a step are at most, relatively. */
  readonly losses_apart: number;
  readonly peak_gflops: number;
  /** The time that the step's own operations would take at the products' rate, of the time it took. */
  readonly of_floor: number;
}

/** Steps of the peer and of westwind by turns, on the same rows. */
export async function measureTraining(training: Training, setting: Setting): Promise<TrainingResult> {
  const folder = mkdtempSync(join(tmpdir(), "westwind-peers-"));
  const rows = join(folder, "rows.jsonl");
  const total = setting.warmUps + setting.steps;
  const count = total * training.batch * (training.task === "sft" ? 4 : 1) + ROWS_TO_SPARE[training.task];
  writeFileSync(rows, `${readFileSync(setting.rows, "utf8").split("\n").slice(0, count).join("\n").trimEnd()}\n`);
  const steppers: Stepper[] = [];
  const start = (...args: ConstructorParameters<typeof Stepper>) => steppers[steppers.push(new Stepper(...args)) - 1]!;
  try {
    const peer = start("TRL", setting.python, peerArgs(training, setting, rows), training.tuned ? MALLOC_TUNED : {});
    await peer.ready();
    const ours = start("westwind", process.execPath, ourArgs(training, setting, rows, join(folder, "run")));
    const { reference_seconds: reference } = await ours.ready<{ reference_seconds: number }>();
    const shares = training.bearsReference ? reference / (await pairsIn(rows, setting.model)).length : 0;

    const peaks = [await setting.measurePeak()];
    const peerSteps: Step[] = [];
    const ourSteps: Step[] = [];
    for (let step = 0; step < total; step++) {
      const turns = [
        async () => peerSteps.push(await peer.ask<Step>()),
        async () => ourSteps.push(await ours.ask<Step>()),
      ];
      for (const turn of step % 2 === 0 ? turns : turns.toReversed()) {
        await sleep(30); // until the other side's threads have gone to sleep
        await turn();
      }
    }
    peaks.push(await setting.measurePeak());
    const ends = [await peer.end<End>(), await ours.end<End>()] as const;

    const unit = ({ tokens }: Step) => (training.task === "dpo" ? training.batch : tokens);
    const rate = (step: Step, extra = 0) => unit(step) / (step.seconds + extra * unit(step));
    const timed = (steps: readonly Step[]) => steps.slice(setting.warmUps);
    const peerRates = timed(peerSteps).map((step) => rate(step));
    const ourRates = timed(ourSteps).map((step) => rate(step, shares));
    const peak = Math.max(...peaks);
    const flops = await flopsOfSteps(training, setting, rows);
    return {
      peer: median(peerRates),
      ours: median(ourRates),
      ratios: ourRates.map((r, i) => r / peerRates[i]!),
      peer_bytes: ends[0].peak_bytes,
      bytes: ends[1].peak_bytes,
      losses_apart: Math.max(...ourSteps.map(({ loss }, i) => Math.abs(loss / peerSteps[i]!.loss - 1))),
      peak_gflops: peak / 1e9,
      of_floor: median(timed(ourSteps).map(({ seconds }, i) => flops[setting.warmUps + i]! / peak / seconds)),
    };
  } finally {
    for (const stepper of steppers) stepper.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function peerArgs({ task, dtype, batch, precompute }: Training, setting: Setting, rows: string) {
  const { model, steps, warmUps, device, threads } = setting;
  const args = [join(HERE, "trl_steps.py"), task, model, rows, "--batch", `${batch}`, "--steps", `${warmUps + steps}`];
  args.push("--max_length", `${MAX_LENGTH}`, "--device", device, "--threads", `${threads}`);
  if (dtype === "bf16") args.push("--bf16");
  if (precompute) args.push("--precompute");
  return args;
}

function ourArgs({ task, dtype, batch }: Training, setting: Setting, rows: string, output: string) {
  const { model, steps, warmUps, device, threads } = setting;
  const keys = {
    model_name_or_path: model,
    dataset_name: rows,
    chat_template: "zephyr",
    data_order: "sequential",
    max_steps: warmUps + steps,
    per_device_train_batch_size: batch,
    gradient_accumulation_steps: 1,
    learning_rate: 1e-5,
    lr_scheduler_type: "linear",
    warmup_ratio: 0,
    dtype: dtype === "bf16" ? "bfloat16" : "float32",
    max_length: MAX_LENGTH,
    logging_steps: 1,
    report: false,
    device,
    threads,
    output_dir: output,
    ...(task === "dpo" ? { beta: 0.1 } : { packing: true, packing_strategy: "wrapped" }),
  };
  const overrides = Object.entries(keys).map(([key, value]) => `--${key}=${value}`);
  return ["--import", join(HERE, "../register.mjs"), join(HERE, "our_steps.ts"), task, ...overrides];
}

/** The rows as both sides take them, in order. */
async function pairsIn(rows: string, model: string) {
  const tokenizer = await Tokenizer.load(model);
  const { train } = await loadDataset({ dataset_name: rows, sequential: true } as Parameters<typeof loadDataset>[0]);
  const template = resolveChatTemplate("zephyr", tokenizer);
  return encodePairs(train.map(toPreferencePair), { tokenizer, template, maxLength: MAX_LENGTH }).pairs;
}

/** Of each step without the reference's pass. */
async function flopsOfSteps(training: Training, setting: Setting, rows: string): Promise<number[]> {
  const { model, steps, warmUps } = setting;
  const config = await readModelConfig(model);
  const all = Array.from({ length: warmUps + steps }, (_, step) => step);
  if (training.task === "sft") {
    const size = sizeOfSequences(new Array<number>(training.batch).fill(MAX_LENGTH));
    return all.map(() => countFlops(config, size));
  }
  const lengths = (await pairsIn(rows, model)).map(
    ({ prompt, chosen, rejected }) => [prompt.length, chosen.length, rejected.length] as const,
  );
  return all.map((i) => countFlops(config, sizeOfPairs(lengths.slice(i * training.batch, (i + 1) * training.batch))));
}
