import type { Command } from "commander";

import {
  CHANGES,
  type Change,
  PREPARE_DEFAULTS as DEFAULTS,
  DROP_STEPS,
  DUPLICATE_SCOPES,
  type PrepareOptions,
  type PrepareReport,
  prepareData,
  ROW_FORMATS,
  showDuration,
  showNumber,
  UsageError,
} from "../index.js";
import { Progress } from "./progress.js";
import { addNumber, POSITIVE, WHOLE } from "./settings.js";
import { interruptible } from "./signal.js";

interface Flags extends PrepareOptions {
  readonly output: string;
  readonly threads?: number;
  readonly json?: boolean;
}

const SIMILARITY = { expected: "a number above 0 and at most 1", isRight: (n: number) => n > 0 && n <= 1 };
const SHARE = { expected: "a number from 0 to below 1", isRight: (n: number) => n >= 0 && n < 1 };

export function addPrepare(data: Command): void {
  const prepare = data
    .command("prepare")
    .description("make clean dialogues of raw ones, without duplicates, in a train and a test file")
    .argument("<input...>", "rows with data (UltraChat's), messages, or prompt and completion: files or folders")
    .requiredOption("--output <folder>", "the folder to write")
    .option("--split <name>", "which files of a folder", DEFAULTS.split)
    .option("--source <name>", "where rows are from that do not say it")
    .option("--strict", "end with an error at the first row that holds no dialogue")
    .option("--no-truecase", "leave the case of letters alone")
    .option("--no-refusals", "keep dialogues in which the assistant says that it is a program without opinions")
    .option("--refusal-phrases <file>", "more phrases to drop dialogues by, one a line")
    .option("--decontaminate <file...>", "benchmarks whose questions no dialogue may hold")
    .option("--benchmark-field <name>", "the benchmarks' field that holds what is asked");
  addNumber(
    prepare,
    "ngram",
    { about: "words in a row that are too much of a benchmark", ...POSITIVE },
    DEFAULTS.ngram,
  );
  const [exact, near] = ["exact-duplicates", "near-duplicates"];
  prepare
    .option(
      `--${exact} <what>`,
      "drop rows whose prompt or dialogue is there; or off",
      readChoice(exact, DUPLICATE_SCOPES),
      DEFAULTS.exactDuplicates,
    )
    .option(
      `--${near} <what>`,
      "drop rows whose prompt or dialogue is like one; or off",
      readChoice(near, DUPLICATE_SCOPES),
      DEFAULTS.nearDuplicates,
    );
  addNumber(
    prepare,
    "similarity",
    { about: "from which on rows are near duplicates", ...SIMILARITY },
    DEFAULTS.similarity,
  );
  addNumber(prepare, "shingle", { about: "words that are compared together", ...POSITIVE }, DEFAULTS.shingle);
  addNumber(prepare, "seed", { about: "of the sketches that are compared", ...WHOLE }, DEFAULTS.seed);
  prepare.option("--tokenizer <folder>", "count tokens, too");
  addNumber(prepare, "test-share", { about: "share of prompts for the test file", ...SHARE }, DEFAULTS.testShare);
  prepare
    .option("--train-name <name>", "the file of rows to train on, without its kind", DEFAULTS.trainName)
    .option("--test-name <name>", "the file of rows to test on, without its kind", DEFAULTS.testName)
    .option(
      "--format <kind>",
      `the kind of both: ${ROW_FORMATS.join(", ")}`,
      readChoice("format", ROW_FORMATS),
      DEFAULTS.format,
    );
  addNumber(prepare, "limit", { about: "read so many rows", ...POSITIVE });
  addNumber(prepare, "examples", { about: "rows of each kind that the report shows", ...WHOLE }, DEFAULTS.examples);
  addNumber(prepare, "threads", { about: "default all", ...POSITIVE });
  prepare.option("--json", "print the report as one JSON object on stdout").action(run);
}

const readChoice =
  <Choice extends string>(flag: string, choices: readonly Choice[]) =>
  (text: string): Choice => {
    const found = choices.find((name) => name === text);
    if (found === undefined) throw new UsageError(`--${flag}: ${text}, expected one of ${choices.join(", ")}`);
    return found;
  };

async function run(inputs: readonly string[], { output, json, ...options }: Flags): Promise<void> {
  const progress = new Progress();
  let seconds = 0;
  const report = await interruptible("row", (signal) =>
    prepareData(inputs, output, {
      ...{ ...options, signal },
      report: (now) => {
        seconds = now.seconds;
        const speed = showNumber(now.read / now.seconds);
        progress.update(`${showNumber(now.read)} rows  ${showNumber(now.kept)} kept  ${speed} rows/s`);
      },
    }).finally(() => progress.clear()),
  );
  process.stderr.write(`${describe(report).join("\n")}\n`);
  process.stderr.write(`done in ${showDuration(seconds)}: rows in ${output}, report in ${output}/report.md\n`);
  if (json) process.stdout.write(`${JSON.stringify(report)}\n`);
}

/** The counts in words; of what was dropped and changed only what there was. */
function describe({ read, kept, splits, steps, changed }: PrepareReport): string[] {
  const reasons: Readonly<Record<string, string>> = Object.assign({}, ...Object.values(DROP_STEPS));
  const dropped = steps.flatMap(({ dropped }) =>
    Object.entries(dropped).map(([reason, count]) => [`dropped, the row ${reasons[reason]}`, count] as const),
  );
  const changes = Object.entries(changed).map(
    ([change, { rows }]) => [`changed, ${CHANGES[change as Change]}`, rows] as const,
  );
  const counts = [...dropped, ...changes].filter(([, count]) => count > 0);
  const files = Object.entries(splits).map(([name, rows]) => `${rows} in ${name}`);
  return [`rows: ${read}`, ...counts.map(([what, count]) => `${what}: ${count}`), `kept: ${kept}, ${files.join(", ")}`];
}
