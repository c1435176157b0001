import type { Command } from "commander";

import { generateText, UsageError } from "../index.js";
import { interruptible } from "./signal.js";

interface Flags {
  readonly model: string;
  readonly prompt: string;
  readonly system?: string;
  readonly chatTemplate?: string;
  readonly raw?: boolean;
  readonly device: string;
  readonly maxNewTokens: string;
  readonly temperature: string;
  readonly topP: string;
  readonly seed: string;
  readonly json?: boolean;
}

export function addGenerate(westwind: Command): void {
  westwind
    .command("generate")
    .description("answer a prompt with a model")
    .requiredOption("--model <folder>", "a model in Hugging Face's layout")
    .requiredOption("--prompt <text>", "what the user says")
    .option("--system <text>", "what the system says before")
    .option(
      "--chat-template <name>",
      "zephyr, chatml, llama2, llama3, mistral or a template's source; default the model's",
    )
    .option("--device <name>", "auto, cpu, cuda or cuda:N", "auto")
    .option("--raw", "continue the text as it is, without a chat template")
    .option("--max-new-tokens <number>", "most tokens of the answer", "256")
    .option("--temperature <number>", "0 takes the most likely token", "0.7")
    .option("--top-p <number>", "sample among the likeliest tokens that hold this share", "0.95")
    .option("--seed <number>", "draws the tokens", "0")
    .option("--json", "print one JSON object")
    .action(async (flags: Flags) => {
      const number = (name: keyof Flags, isRight: (value: number) => boolean, expected: string): number => {
        const value = Number(flags[name]);
        if (flags[name] !== "" && isRight(value)) return value;
        throw new UsageError(
          `--${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}: ${flags[name]}, expected ${expected}`,
        );
      };
      const result = await interruptible("token", (signal) =>
        generateText(flags.model, flags.prompt, {
          ...(flags.system !== undefined && { system: flags.system }),
          ...(flags.chatTemplate !== undefined && { chatTemplate: flags.chatTemplate }),
          raw: flags.raw === true,
          device: flags.device,
          maxNewTokens: number("maxNewTokens", (n) => Number.isInteger(n) && n > 0, "a positive integer"),
          temperature: number("temperature", (n) => n >= 0, "a number from 0 up"),
          topP: number("topP", (n) => n > 0 && n <= 1, "a number above 0 and at most 1"),
          seed: number("seed", (n) => Number.isSafeInteger(n) && n >= 0, "a whole number"),
          signal,
        }),
      );
      process.stdout.write(flags.json ? `${JSON.stringify(result)}\n` : `${result.text}\n`);
    });
}
