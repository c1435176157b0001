import type { Command } from "commander";

import {
  answerPrompt,
  type GenerateProgress,
  generateFile,
  type LoadTextModel,
  readPromptRows,
  showDuration,
  showNumber,
  UsageError,
} from "../index.js";
import { hubOptions } from "./download_progress.js";
import { Progress, type Terminal } from "./progress.js";
import {
  addModel,
  addNumber,
  addSettings,
  loadOptionsOf,
  type ModelFlags,
  POSITIVE,
  type Settings,
  settingsOf,
  WHOLE,
} from "./settings.js";
import { interruptible } from "./signal.js";

interface Flags extends ModelFlags, Settings {
  readonly prompt?: string;
  readonly prompts?: string;
  readonly output?: string;
  readonly continue?: boolean;
  readonly concurrency?: number;
  readonly system?: string;
  readonly raw?: boolean;
  readonly stop?: readonly string[];
  readonly choices: number;
  readonly logprobs?: number;
  readonly json?: boolean;
}

export function addGenerate(westwind: Command, load: LoadTextModel): void {
  const generate = westwind.command("generate").description("answer a prompt, or a file of prompts, with a model");
  addModel(generate);
  generate
    .option("--prompt <text>", "what the user says")
    .option(
      "--prompts <file>",
      "rows with prompt or messages (.jsonl, or a data set's name on the hub), or a prompt a line (.txt)",
    )
    .option("--output <file>", "with --prompts: the .jsonl, .jsonl.gz or .parquet file of the rows and their answers")
    .option("--continue", "with --prompts: keep the answers of a call that was stopped")
    .option("--system <text>", "what the system says before")
    .option("--raw", "continue the text as it is, without a chat template");
  addNumber(generate, "concurrency", { about: "most prompts asked at the same time; default 256", ...POSITIVE });
  addSettings(generate, { maxNewTokens: 256, temperature: 0.7, topP: 0.95, seed: 0 });
  generate.option("--stop <text>", "ends the answer and is not part of it; may be given several times", gather);
  addNumber(generate, "choices", { about: "answers to give", ...POSITIVE }, 1);
  addNumber(generate, "logprobs", { about: "tell log-probabilities, with so many of the likeliest tokens", ...WHOLE });
  generate
    .option("--json", "print one JSON object, or with --choices one a line")
    .action((flags: Flags) => (flags.prompts === undefined ? answerOne(flags, load) : answerFile(flags, load)));
}

const gather = (text: string, before: readonly string[] = []): string[] => {
  if (text === "") throw new UsageError("--stop: empty, expected a text");
  return [...before, text];
};

const requestOf = (flags: Flags) => {
  const { stop, choices, logprobs } = flags;
  return { ...settingsOf(flags), stop, choices, logprobs };
};

async function answerOne(flags: Flags, load: LoadTextModel): Promise<void> {
  const { prompt, system, raw } = flags;
  if (prompt === undefined) throw new UsageError("--prompt or --prompts is missing");
  for (const name of ["output", "continue", "concurrency"] as const) {
    if (flags[name] !== undefined) throw new UsageError(`--${name}: expected --prompts beside it`);
  }
  if (flags.logprobs !== undefined && !flags.json) throw new UsageError("--logprobs: expected --json beside it");
  const answers = await interruptible("token", async (signal) => {
    await using model = await load(flags.model, loadOptionsOf(flags, { signal }));
    return await answerPrompt(model, prompt, { ...requestOf(flags), system, raw, signal });
  });
  for (const answer of answers) process.stdout.write(flags.json ? `${JSON.stringify(answer)}\n` : `${answer.text}\n`);
}

async function answerFile(flags: Flags, load: LoadTextModel): Promise<void> {
  const { output, system, raw } = flags;
  if (flags.prompt !== undefined) throw new UsageError("--prompts: expected no --prompt beside it");
  if (output === undefined) throw new UsageError("--prompts: expected --output beside it");
  const prompts = { system, raw };
  const shown = new GenerateReport();
  const result = await interruptible("token", async (signal) => {
    const rows = await readPromptRows(flags.prompts!, prompts, hubOptions({}, signal));
    await using model = await load(flags.model, loadOptionsOf(flags, { signal }));
    const name = model.commit === undefined ? flags.model : `${flags.model} at ${model.commit}`;
    return await generateFile(model, rows, output, {
      ...{ model: name, prompts, request: requestOf(flags), concurrency: flags.concurrency },
      ...{ continue: flags.continue, report: (progress) => shown.report(progress), signal },
    }).finally(() => shown.end());
  });
  process.stderr.write(`done: ${describe(result)}, answers in ${output}\n`);
  if (flags.json) {
    const { total, continued, tokens, seconds } = result;
    process.stdout.write(
      `${JSON.stringify({ prompts: total, continued, completion_tokens: tokens, seconds, output })}\n`,
    );
  }
}

/** Shows how far a file of prompts is: on a terminal at every row, elsewhere a line at every tenth of them. */
export class GenerateReport {
  private readonly progress: Progress;
  private tenths = 0;

  constructor(private readonly terminal: Terminal = process.stderr) {
    this.progress = new Progress(terminal);
  }

  report(now: GenerateProgress): void {
    const { done, total, continued, seconds } = now;
    const left = ((total - done) * seconds) / (done - continued);
    const line = `${describe(now)}  ${showDuration(left)} left`;
    this.progress.update(line);
    const tenths = Math.floor((10 * done) / total);
    if (!this.terminal.isTTY && tenths > this.tenths && done < total) this.progress.say(line);
    this.tenths = tenths;
  }

  end(): void {
    this.progress.clear();
  }
}

const describe = ({ done, total, tokens, seconds }: GenerateProgress): string =>
  `${done}/${total} prompts  ${showNumber(tokens)} tokens  ${showNumber(tokens / seconds)} tokens/s`;
