import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

import type { RunEvent } from "../../lib/run/events.js";
import { carryThrough, type Keys, logged, refusal, start, temporaryFolder } from "./collect.js";
import { chatRows, makeModel, pairRows, writeJsonLines } from "./small_model.js";

const folder = temporaryFolder();
const model = await makeModel(join(folder, "model"));
const chats = writeJsonLines(join(folder, "chats.jsonl"), chatRows(50));
const pairs = writeJsonLines(join(folder, "pairs.jsonl"), pairRows(36));

const many = writeJsonLines(join(folder, "many.jsonl"), pairRows(130)); // the reference's numbers take several rounds

const COMMON: Keys = { model_name_or_path: model, learning_rate: 1e-3, max_steps: 20, save_steps: 10, threads: 1 };

/** An epoch of SFT is 8 steps, the last of them short; of DPO 9. Both are shuffled. */
const RUNS: Readonly<Record<"sft" | "dpo", Keys>> = {
  sft: { ...COMMON, dataset_name: chats, per_device_train_batch_size: 2, gradient_accumulation_steps: 3 },
  dpo: { ...COMMON, dataset_name: pairs, per_device_train_batch_size: 4 },
};

/** The log but for what a clock says. */
function lasting(lines: readonly Readonly<Record<string, number>>[]) {
  return lines.map((line) =>
    Object.fromEntries(Object.entries(line).filter(([key]) => !/_per_second|runtime/.test(key))),
  );
}

const readLog = (output: string) =>
  readFileSync(join(output, "log.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, number>);

const stepsOf = (output: string) => lasting(readLog(output));
const readJson = (...path: string[]) => JSON.parse(readFileSync(join(...path), "utf8"));

const checkpoints = (output: string) =>
  readdirSync(output)
    .filter((name) => name.includes("checkpoint-"))
    .sort();

function sameBytes(a: string, b: string, names: readonly string[]): string[] {
  return names.filter((name) => !readFileSync(join(a, name)).equals(readFileSync(join(b, name))));
}

/** Runs, and walks away when `step` is done. */
async function abandonAfter(step: number, kind: "sft" | "dpo", keys: Keys): Promise<void> {
  for await (const event of start(kind, keys)) if (event.kind === "step" && event.step.step === step) return;
}

const last = (events: readonly RunEvent[]) => logged(events).at(-1)!;

describe.each(["sft", "dpo"] as const)("%s", (kind) => {
  const whole = join(folder, `${kind}-whole`);

  // Lines of 3 steps: the one of step 12 is of steps on both sides of the checkpoint.
  test.each([1, 3])(
    "20 steps are 10 steps, a checkpoint and 10 steps, to the last digit, logged every %i",
    async (every) => {
      const keys = { ...RUNS[kind], logging_steps: every };
      const uninterrupted = `${whole}-${every}`;
      await carryThrough(kind, { ...keys, output_dir: uninterrupted });
      const output = join(folder, `${kind}-parts-${every}`);
      await abandonAfter(13, kind, { ...keys, output_dir: output }); // three steps more than the checkpoint has
      expect(checkpoints(output)).toEqual(["checkpoint-10"]);
      const events = await carryThrough(kind, { ...keys, output_dir: output, resume_from_checkpoint: true });
      expect(events.filter(({ kind }) => kind === "step").length).toBe(10);
      expect(stepsOf(output)).toEqual(stepsOf(uninterrupted));
      expect(stepsOf(output).length).toBe(every === 1 ? 21 : 8);
      expect(stepsOf(output).at(-1)).toMatchObject({ step: 20, train_loss: expect.any(Number) });
      expect(sameBytes(output, uninterrupted, ["model.safetensors", "checkpoint-20/optimizer.safetensors"])).toEqual(
        [],
      );
      expect(last(events).loss).not.toBe(stepsOf(output)[0]!.loss); // it learned something
    },
  );

  test("the summary of a resumed run is of the whole run", () => {
    const [parts, uninterrupted] = [`${kind}-parts-3`, `${kind}-whole-3`].map((name) => join(folder, name));
    const [summary, alone] = [readJson(parts!, "summary.json"), readJson(uninterrupted!, "summary.json")];
    const figures = ["steps", "epochs", "rows", "train_loss", "num_tokens", "evaluation"] as const;
    for (const figure of figures) expect([figure, summary[figure]]).toEqual([figure, alone[figure]]);
    expect(summary.train_runtime).toBeGreaterThan(readJson(parts!, "checkpoint-10", "run_totals.json").trainSeconds);
    expect(readJson(parts!, "checkpoint-20", "run_totals.json").stepSeconds.length).toBe(20);
  });

  // What is rounded at random is rounded alike.
  test.each([
    { optim: "adamw_8bit" },
    { optim: "adamw_bf16", dtype: "bfloat16", master_weights: false },
    { optim: "adamw_8bit", dtype: "bfloat16", master_weights: true },
  ])("so they are with %o", async (layout) => {
    const keys = { ...RUNS[kind], ...layout };
    const name = Object.values(layout).join("-");
    const [output, uninterrupted] = ["parts", "whole"].map((part) => join(folder, `${kind}-${name}-${part}`));
    await carryThrough(kind, { ...keys, output_dir: uninterrupted! });
    await abandonAfter(13, kind, { ...keys, output_dir: output! });
    await carryThrough(kind, { ...keys, output_dir: output!, resume_from_checkpoint: true });
    expect(stepsOf(output!)).toEqual(stepsOf(uninterrupted!));
    const files = ["model.safetensors", "checkpoint-20/optimizer.safetensors"];
    expect(sameBytes(output!, uninterrupted!, files)).toEqual([]);
  });

  test("the number of threads changes no digit", async () => {
    const outputs = await Promise.all(
      [1, 2, 3].map(async (threads) => {
        const output = join(folder, `${kind}-${threads}-threads`);
        await carryThrough(kind, { ...RUNS[kind], max_steps: 6, logging_steps: 1, threads, output_dir: output });
        return output;
      }),
    );
    expect(stepsOf(outputs[1]!)).toEqual(stepsOf(outputs[0]!));
    expect(stepsOf(outputs[2]!)).toEqual(stepsOf(outputs[0]!));
    expect(sameBytes(outputs[1]!, outputs[0]!, ["model.safetensors"])).toEqual([]);
    expect(sameBytes(outputs[2]!, outputs[0]!, ["model.safetensors"])).toEqual([]);
  });

  test("another token budget changes the rounding at most", async () => {
    const run = async (token_budget: number) => {
      const output_dir = join(folder, `${kind}-budget-${token_budget}`);
      return lasting(
        logged(await carryThrough(kind, { ...RUNS[kind], max_steps: 6, logging_steps: 1, token_budget, output_dir })),
      );
    };
    const [ample, tight] = [await run(8192), await run(64)];
    const apart = ample.flatMap((line, i) =>
      Object.entries(line).map(([key, value]) => Math.abs(value - tight[i]![key]!) / Math.max(1, Math.abs(value))),
    );
    expect(Math.max(...apart)).toBeLessThan(1e-5);
    expect(Math.max(...apart)).toBeGreaterThan(0); // the batches were others
  });
});

describe("what is kept", () => {
  const keys: Keys = { ...RUNS.sft, max_steps: 5, save_steps: 1 };

  test("at most save_total_limit checkpoints, the newest", async () => {
    const output = join(folder, "limited");
    await carryThrough("sft", { ...keys, save_total_limit: 2, output_dir: output });
    expect(checkpoints(output)).toEqual(["checkpoint-4", "checkpoint-5"]);
  });

  test("a checkpoint is a model's folder with all that resuming needs", async () => {
    const output = join(folder, "limited");
    expect(readdirSync(join(output, "checkpoint-5")).sort()).toEqual([
      ...["config.json", "generation_config.json", "log_window.json", "manifest.json", "model.safetensors"],
      ...["optimizer.safetensors", "run_totals.json", "special_tokens_map.json", "tokenizer.json"],
      ...["tokenizer_config.json", "trainer_state.json"],
    ]);
  });

  test("the log is ahead of the checkpoint, so that a run killed between the two lacks no line", async () => {
    const output = join(folder, "noted");
    await abandonAfter(5, "sft", { ...keys, logging_steps: 1, max_steps: 6, output_dir: output });
    const time = (...path: string[]) => statSync(join(output, ...path)).mtimeMs;
    expect(time("log.jsonl")).toBeLessThanOrEqual(time("checkpoint-5", "config.json"));
    expect(readLog(output).map(({ step }) => step)).toEqual([1, 2, 3, 4, 5]);
  });

  test("a finished run that is carried on from its last checkpoint has the same summary", async () => {
    const output = join(folder, "limited");
    const before = readJson(output, "summary.json");
    await carryThrough("sft", { ...keys, save_total_limit: 2, output_dir: output, resume_from_checkpoint: true });
    const { train_runtime: _, reference_seconds: __, ...after } = readJson(output, "summary.json");
    expect(before).toMatchObject(after);
    expect(readLog(output).filter((line) => "train_loss" in line).length).toBe(1);
  });

  test("a signal ends the run after the step, with a checkpoint to go on from", async () => {
    const output = join(folder, "stopped");
    const controller = new AbortController();
    const rest = { ...keys, save_strategy: "no", output_dir: output };
    const stopped = (async () => {
      for await (const event of start("sft", rest, { signal: controller.signal })) {
        if (event.kind === "step" && event.step.step === 2) controller.abort();
      }
    })();
    expect(await refusal(stopped)).toBe(
      `AbortedError: stopped after step 3 of 5; saved in ${join(output, "checkpoint-3")}`,
    );
    expect(existsSync(join(output, "model.safetensors"))).toBe(false);
    await carryThrough("sft", { ...rest, resume_from_checkpoint: true });
    const whole = join(folder, "not-stopped");
    await carryThrough("sft", { ...rest, output_dir: whole });
    expect(sameBytes(output, whole, ["model.safetensors"])).toEqual([]);
  });

  test("a run that is stopped at its last step is finished, without the sample answers", async () => {
    const output = join(folder, "stopped-late");
    const controller = new AbortController();
    const rest = { ...keys, report: true, output_dir: output, eval_strategy: "no" };
    for await (const event of start("sft", rest, { signal: controller.signal })) {
      if (event.kind === "step" && event.step.step === 5) controller.abort();
    }
    expect(existsSync(join(output, "model.safetensors"))).toBe(true);
    expect(readFileSync(join(output, "report.md"), "utf8")).not.toContain("## Samples");
    const whole = join(folder, "with-samples");
    await carryThrough("sft", { ...rest, output_dir: whole });
    expect(readFileSync(join(whole, "report.md"), "utf8")).toContain("## Samples");
  });

  test.each(["before the run", "while the reference is computed"])(
    "a signal raised %s ends it before a step",
    async (when) => {
      const output = join(folder, when);
      const controller = new AbortController();
      if (when === "before the run") controller.abort();
      const stopped = (async () => {
        for await (const event of start(
          "dpo",
          { ...RUNS.dpo, dataset_name: many, output_dir: output },
          { signal: controller.signal },
        )) {
          if (event.kind === "reference") controller.abort();
        }
      })();
      expect(await refusal(stopped)).toBe("AbortedError: stopped before the first step; nothing was saved");
      expect(existsSync(join(output, "log.jsonl"))).toBe(false);
    },
  );

  test("one run at a time writes to a folder", async () => {
    const output = join(folder, "taken");
    const first = start("sft", { ...keys, output_dir: output });
    for (let event = await first.next(); !event.done && event.value.kind !== "prepared"; ) event = await first.next();
    for (const others of [{}, { overwrite_output_dir: true }, { learning_rate: 1, overwrite_output_dir: true }]) {
      expect(await refusal(carryThrough("sft", { ...keys, ...others, output_dir: output }))).toBe(
        `FileError: ${output}/run.json: is in use by process ${process.pid}`,
      );
    }
    await first.return(undefined as never);
    await carryThrough("sft", { ...keys, output_dir: output });
    expect(readdirSync(output)).not.toContain("run.json.lock");
  });

  test("a finished run is not repeated by one that goes on", async () => {
    const output = join(folder, "limited");
    const before = readFileSync(join(output, "log.jsonl"), "utf8");
    const events = await carryThrough("sft", { ...keys, save_total_limit: 2, output_dir: output }, { continue: true });
    expect(events.map(({ kind }) => kind)).toEqual(["finished"]);
    expect(readFileSync(join(output, "log.jsonl"), "utf8")).toBe(before);
  });
});
