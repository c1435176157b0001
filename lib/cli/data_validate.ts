import type { Command } from "commander";

import { DATA_USES, type DataError, type DataUse, FileError, UsageError, validateData } from "../index.js";
import { addNumber, WHOLE } from "./settings.js";

interface Flags {
  readonly for?: DataUse;
  readonly split: string;
  readonly show: number;
  readonly json?: boolean;
}

export function addValidate(data: Command): void {
  const validate = data
    .command("validate")
    .description("find the rows that a command would refuse; exit code 1 if there are any")
    .argument("<input>", "a file of rows or a folder of them")
    .option("--for <use>", "sft, dpo, feedback or prepare; default what the first row looks like", readUse)
    .option("--split <name>", "which files of a folder", "train");
  addNumber(validate, "show", { about: "most broken rows to tell one by one", ...WHOLE }, 20);
  validate.option("--json", "print one JSON object on stdout").action(run);
}

function readUse(text: string): DataUse {
  const found = DATA_USES.find((name) => name === text);
  if (found === undefined) throw new UsageError(`--for: ${text}, expected one of ${DATA_USES.join(", ")}`);
  return found;
}

async function run(input: string, { json, show, split, ...flags }: Flags): Promise<void> {
  const shown: { readonly file: string; readonly line: number; readonly message: string }[] = [];
  const onBroken = ({ row: { source, index }, fact }: DataError): void => {
    if (shown.length === show) return;
    shown.push({ file: source, line: index + 1, message: fact });
    if (!json) process.stdout.write(`${source}:${index + 1}: ${fact}\n`);
  };
  const report = await validateData(input, { for: flags.for, split, onBroken });
  if (json) process.stdout.write(`${JSON.stringify({ ...report, shown })}\n`);
  const { rows, broken } = report;
  if (broken > 0) {
    throw new FileError(input, `${broken} of ${rows} rows are broken for ${report.for}, expected none`);
  }
  process.stderr.write(`rows: ${rows}, all right for ${report.for}\n`);
}
