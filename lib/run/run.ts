import { join } from "node:path";

import { AbortedError, assert } from "../base/errors.js";
import { makeFolder, writeFileAtomic } from "../base/files.js";
import { lock } from "../base/lock.js";
import { loadModel } from "../checkpoint/load_model.js";
import {
  checkRunFolder,
  claimRunFolder,
  hashRun,
  listCheckpoints,
  RUN_FILE,
  type RunIdentity,
  resolveResume,
  runOf,
  saveCheckpoint,
} from "../checkpoint/run_folder.js";
import { saveAmong, saveModel } from "../checkpoint/save_model.js";
import { loadTrainingState, type Progress, saveTrainingState } from "../checkpoint/training_state.js";
import { readModelConfig } from "../model/config.js";
import type { ParametersOptions } from "../model/parameters.js";
import { AdamW } from "../optim/adamw.js";
import type { TrainingRecipe } from "../recipe/schema.js";
import { renderReport } from "../report/report.js";
import { Device } from "../tensor/device.js";
import type { Task } from "../train/task.js";
import { type StepRecord, train } from "../train/train.js";
import type { RunEvent, RunSummary } from "./events.js";
import { fitMemory } from "./fit_memory.js";
import { evaluationRecord, LogWindow, RunLog } from "./log.js";
import { precisionOf } from "./precision.js";
import type { Prepared, Started } from "./prepared.js";
import { reportOf } from "./report_of.js";
import { answerSamples } from "./samples.js";
import { type Settings, settingsOf } from "./settings.js";
import { endRecord, readSummary, summarise, writeSummary } from "./summary.js";
import { RunTotals } from "./totals.js";

export interface RunOptions {
  /** Go on with what `output_dir` holds of this run: its last checkpoint, or nothing if it is finished. */
  readonly continue?: boolean;
  /** Ends the run after the current step, with a checkpoint. */
  readonly signal?: AbortSignal;
}

/** Carries a prepared run through: train, evaluate, save, report. Abandoning the iteration stops it after that step. */
export async function* carryOut<Row>(
  recipe: TrainingRecipe,
  recipeText: string,
  prepared: Prepared<Row>,
  { signal, continue: goOn = false }: RunOptions,
): AsyncGenerator<RunEvent, RunSummary> {
  const { output_dir: outputDir } = recipe;
  const { path: modelFolder } = prepared.base;
  stopIfAborted(signal);
  const settings = settingsOf(recipe, prepared.numRows);
  const identity = identityOf(recipe, prepared, await runOf(modelFolder));
  const hash = hashRun(identity);
  const isOwn = await checkRunFolder(outputDir, identity, { overwrite: recipe.overwrite_output_dir });
  const done = goOn ? await readSummary(outputDir, hash) : undefined;
  if (done) {
    yield { kind: "finished", summary: done };
    return done;
  }
  const isBegun = goOn && isOwn && (await listCheckpoints(outputDir)).length > 0;
  const resume = recipe.resume_from_checkpoint || isBegun;
  const checkpoint = resume ? await resolveResume(outputDir, resume, hash) : undefined;

  using device = Device.open(recipe.device, recipe.threads === null ? {} : { threads: recipe.threads });
  const precision: ParametersOptions = { ...precisionOf(recipe, device), trainable: true };
  const config = await readModelConfig(modelFolder);
  const taskOptions = await fitMemory(device, recipe, settings, prepared, { config, ...precision });
  using model = await loadModel(device, modelFolder, precision);
  await makeFolder(outputDir);
  await using _held = await lock(join(outputDir, RUN_FILE)); // another run would write the same files
  await claimRunFolder(outputDir, identity, { overwrite: recipe.overwrite_output_dir }); // what can be refused, was
  const arrived = performance.now();
  let started: Started<Row> | undefined;
  for await (const event of prepared.start(model, { options: taskOptions, outputDir, ...(signal && { signal }) })) {
    if (event.kind === "started") started = event;
    else yield event;
  }
  assert(started, "a method starts");
  using task = prepared.task(model, taskOptions);
  const referenceSeconds = (performance.now() - arrived) / 1000;
  const before = await answerSamples(model, prepared, recipe, signal);
  stopIfAborted(signal);

  using optimizer = new AdamW(model.parameters, settings.optimizer);
  const window = new LogWindow({
    every: settings.logEvery,
    stepsPerEpoch: settings.plan.stepsPerEpoch,
    firstStep: recipe.logging_first_step,
    rowsPerSecond: prepared.kind === "dpo" ? "pairs_per_second" : "rows_per_second",
  });
  let from: Progress | undefined;
  if (checkpoint) {
    from = await loadTrainingState(checkpoint.path, model, optimizer);
    await window.load(checkpoint.path);
  }
  const facts = [...prepared.facts, ...(from ? [["resumed after step", from.step] as const] : [])];
  const computes = `${device.description}, ${precision.dtype}`;
  yield { kind: "prepared", device: computes, plan: settings.plan, facts };

  const log = await RunLog.open(join(outputDir, "log.jsonl"), from?.step ?? 0);
  const totals = new RunTotals(referenceSeconds);
  if (checkpoint) await totals.load(checkpoint.path);
  const saveWhole = async (folder: string): Promise<void> => {
    await prepared.tokenizer.saveTo(folder, recipe.chat_template === null ? {} : { chatTemplate: prepared.template });
    await saveModel(model, folder);
  };
  const save = (progress: Progress): Promise<string> =>
    saveCheckpoint(
      outputDir,
      { step: progress.step, hash, saveTotalLimit: recipe.save_total_limit ?? undefined },
      async (folder) => {
        await saveWhole(folder);
        await saveTrainingState(folder, optimizer, progress);
        await window.save(folder);
        await totals.save(folder);
      },
    );
  yield* loop(recipe, settings, started, { task, optimizer, log, window, totals, save, from, signal });
  const reached = totals.current;

  await saveAmong(outputDir, saveWhole);
  const after = await answerSamples(model, prepared, recipe, signal); // what is trained is finished even when stopped
  const summary = summarise(recipe, prepared, log, reached);
  log.append(endRecord(summary));
  if (recipe.report) {
    const samples = after.map(({ prompt, answer }, i) => ({ prompt, before: before[i]!.answer, after: answer }));
    const content = reportOf(summary, { facts: [["device", computes], ...facts], log, samples, recipeText });
    await writeFileAtomic(join(outputDir, "report.md"), renderReport(content));
  }
  await writeSummary(outputDir, hash, summary);
  yield { kind: "finished", summary };
  return summary;
}

function stopIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AbortedError(0, "stopped before the first step; nothing was saved");
}

interface LoopContext<Row> {
  readonly task: Task<Row>;
  readonly optimizer: AdamW;
  readonly log: RunLog;
  readonly window: LogWindow;
  readonly totals: RunTotals;
  readonly from: Progress | undefined;
  readonly signal: AbortSignal | undefined;
  save(progress: Progress): Promise<string>;
}

async function* loop<Row>(
  recipe: TrainingRecipe,
  settings: Settings,
  { rows, evalRows }: Started<Row>,
  { task, optimizer, log, window, totals, from, signal, save }: LoopContext<Row>,
): AsyncGenerator<RunEvent & { kind: "step" }> {
  const { plan, schedule, evaluateEvery, saveEvery } = settings;
  const note = (step: StepRecord) => {
    totals.add(step);
    const record = window.add(step, step.step === plan.totalSteps);
    if (record) log.append(record);
    const { evaluation: measured } = step;
    const evaluation = measured && evaluationRecord(step, measured.metrics, measured.seconds, evalRows.length);
    if (evaluation) log.append(evaluation);
    return { ...(record && { record }), ...(evaluation && { evaluation }) };
  };
  // A step is noted before its checkpoint is written: a run that is killed in between repeats it, and loses no line.
  let noted: { readonly step: number; readonly lines: ReturnType<typeof note> } | undefined;
  const noteOnce = (step: StepRecord) => {
    if (noted?.step !== step.step) noted = { step: step.step, lines: note(step) };
    return noted.lines;
  };
  const training = train({
    task,
    optimizer,
    rows,
    plan,
    schedule,
    batchSize: recipe.per_device_train_batch_size,
    accumulation: recipe.gradient_accumulation_steps,
    maxGradNorm: recipe.max_grad_norm,
    order: recipe.data_order,
    seed: recipe.data_seed ?? recipe.seed,
    ...(evalRows.length > 0 && {
      evaluation: { rows: evalRows, batchSize: recipe.per_device_eval_batch_size, every: evaluateEvery },
    }),
    checkpoints: {
      every: saveEvery,
      save: (progress, step) => {
        noteOnce(step);
        return save(progress);
      },
    },
    ...(from && { from }),
    ...(signal && { signal }),
  });
  for await (const step of training) yield { kind: "step", step, ...noteOnce(step) };
}

/** What must not change between the parts of one run. Where it is logged and how often it is saved may. */
function identityOf(recipe: TrainingRecipe, prepared: Prepared<unknown>, base: string | null): RunIdentity {
  const free = new Set([
    ...[
      "output_dir",
      "overwrite_output_dir",
      "resume_from_checkpoint",
      "threads",
      "device",
      "token_budget",
      "recompute",
    ],
    ...["logging_strategy", "logging_steps", "logging_first_step", "eval_strategy", "eval_steps", "do_eval"],
    ...["per_device_eval_batch_size", "save_strategy", "save_steps", "save_total_limit"],
    ...["report", "report_samples", "report_sample_tokens"],
    ...["model_revision", "dataset_revision"], // the commit and the data itself say more
  ]);
  const kept = Object.entries(recipe).filter(([key]) => !free.has(key));
  const { snapshot } = prepared.base;
  return {
    ...{ task: prepared.kind, base_run: base, data: prepared.dataHash },
    ...(snapshot && { model_commit: snapshot.commit }),
    ...Object.fromEntries(kept),
  } as RunIdentity;
}
