import { createRequire } from "node:module";
import { Command, CommanderError } from "commander";

import {
  AbortedError,
  BudgetError,
  ConfigError,
  type LoadTextModel,
  loadEngine,
  UsageError,
  WestwindError,
} from "../index.js";
import { addAlign } from "./align.js";
import { addChat } from "./chat.js";
import { addData } from "./data.js";
import { addDownload } from "./download.js";
import { addFeedback } from "./feedback.js";
import { addGenerate } from "./generate.js";
import { addInfo } from "./info.js";
import { addQuickstart } from "./quickstart.js";
import { addServe } from "./serve.js";
import { addTraining } from "./training.js";

const EXIT_USAGE = 2;
const EXIT_BUDGET = 3;
const EXIT_DEFECT = 70; // EX_SOFTWARE of sysexits.h
const EXIT_INTERRUPTED = 130; // 128 + SIGINT, as shells count it

function program(load: LoadTextModel): Command {
  const westwind = new Command("westwind")
    .description("Aligns language models by the Zephyr recipe: dSFT, preference pairs from AI feedback, dDPO.")
    .version(createRequire(import.meta.url)("../../package.json").version)
    .exitOverride()
    .configureOutput({ writeErr: () => {} }); // errors are shown once, below
  addTraining(westwind);
  addData(westwind);
  addFeedback(westwind, load);
  addAlign(westwind);
  addGenerate(westwind, load);
  addChat(westwind, load);
  addServe(westwind, loadEngine);
  addDownload(westwind);
  addInfo(westwind);
  addQuickstart(westwind);
  return westwind;
}

/**
 * Runs one command line and returns the exit code: 0, 1 for what went wrong, 2 for a wrong command line, 3 for a budget that
 * is used up, 70 for a defect of westwind, 130 for Ctrl-C. `load` makes models ready to answer.
 */
export async function main(args: readonly string[], load: LoadTextModel = loadEngine): Promise<number> {
  const westwind = program(load);
  try {
    if (args.length === 0) {
      process.stderr.write(westwind.helpInformation());
      return EXIT_USAGE;
    }
    await westwind.parseAsync(args, { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0; // --help, --version
      const fact =
        error.code === "commander.help"
          ? "a command is missing"
          : error.message.replace(/^error: |\.$/g, "").replace("\n", " ");
      process.stderr.write(`westwind: ${fact}; see ${nameOf(commandOf(westwind, args))} --help\n`);
      return EXIT_USAGE;
    }
    if (error instanceof AbortedError) {
      process.stderr.write(`westwind: ${error.message}\n`);
      return EXIT_INTERRUPTED;
    }
    if (!(error instanceof WestwindError)) {
      const stack = error instanceof Error ? error.stack : String(error);
      process.stderr.write(
        `westwind: a defect of westwind, not of its input; please report it with these lines\n${stack}\n`,
      );
      return EXIT_DEFECT;
    }
    process.stderr.write(`westwind: ${inFlags(error, commandOf(westwind, args))}\n`);
    if (error instanceof BudgetError) return EXIT_BUDGET;
    return error instanceof UsageError ? EXIT_USAGE : 1;
  }
}

/** The command that the first words of a command line name. */
function commandOf(command: Command, args: readonly string[]): Command {
  const named = command.commands.find((one) => one.name() === args[0]);
  return named === undefined ? command : commandOf(named, args.slice(1));
}

const nameOf = (command: Command): string =>
  command.parent === null ? command.name() : `${nameOf(command.parent)} ${command.name()}`;

/** An error's message; where it is about an option of the library that a flag has set, about the flag. */
function inFlags(error: WestwindError, command: Command): string {
  if (!(error instanceof ConfigError)) return error.message;
  const key = error.key.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
  const flag = command.options.find((option) => option.attributeName() === key)?.long;
  return flag === undefined || flag === null ? error.message : flag + error.message.slice(error.key.length);
}
