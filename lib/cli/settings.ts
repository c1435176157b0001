import type { Command } from "commander";

import { type GenerationRequest, UsageError } from "../index.js";
import { hubOptions } from "./download_progress.js";
import type { Terminal } from "./progress.js";

// What may be set of how a model answers, for the flags of `westwind generate` and `chat` and the chat's /set.

export type SettingKey =
  | "temperature"
  | "topP"
  | "topK"
  | "minP"
  | "repetitionPenalty"
  | "presencePenalty"
  | "frequencyPenalty"
  | "seed"
  | "maxNewTokens";

/** Numbers for a request; what is not set is the engine's default. */
export type Settings = { [Key in SettingKey]?: NonNullable<GenerationRequest[Key]> };

export interface Setting {
  readonly key: SettingKey;
  /** As /set calls it: `top_p`. */
  readonly name: string;
  readonly about: string;
  readonly expected: string;
  readonly isRight: (value: number) => boolean;
}

const isWhole = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
const isPositive = (value: number): boolean => Number.isSafeInteger(value) && value > 0;

export const SETTINGS: readonly Setting[] = [
  setting("maxNewTokens", "most tokens of the answer", "a positive integer", isPositive),
  setting("temperature", "0 takes the most likely token", "a number from 0 up", (n) => n >= 0 && Number.isFinite(n)),
  setting(
    "topP",
    "draw among the likeliest tokens that hold this share",
    "a number above 0 and at most 1",
    (n) => n > 0 && n <= 1,
  ),
  setting("topK", "draw among so many of the likeliest tokens; 0 among all", "a whole number", isWhole),
  setting(
    "minP",
    "draw among tokens at least this many times as likely as the likeliest",
    "a number from 0 to 1",
    (n) => n >= 0 && n <= 1,
  ),
  setting(
    "repetitionPenalty",
    "makes tokens of prompt and answer less likely, above 1",
    "a number above 0",
    (n) => n > 0 && Number.isFinite(n),
  ),
  setting("presencePenalty", "taken from the logits of the answer's tokens", "a number", Number.isFinite),
  setting("frequencyPenalty", "the same, for every time they occur", "a number", Number.isFinite),
  setting("seed", "draws the tokens", "a whole number", isWhole),
];

function setting(key: SettingKey, about: string, expected: string, isRight: Setting["isRight"]): Setting {
  return { key, name: separated(key, "_"), about, expected, isRight };
}

function separated(key: string, mark: string): string {
  return key.replace(/[A-Z]/g, (letter) => mark + letter.toLowerCase());
}

/** Reads a number. Throws an error made of what was found and what was expected. */
export function readNumber(
  text: string,
  { expected, isRight }: Pick<Setting, "expected" | "isRight">,
  refuse: (fact: string) => Error,
): number {
  const value = Number(text);
  if (text.trim() !== "" && isRight(value)) return value;
  throw refuse(`${text === "" ? "empty" : text}, expected ${expected}`);
}

/** Gives a command a flag that is a number. Throws UsageError when it is used with another. */
export function addNumber(
  command: Command,
  flag: string,
  { about, expected, isRight }: Pick<Setting, "about" | "expected" | "isRight">,
  standard?: number,
): void {
  const read = (text: string): number =>
    readNumber(text, { expected, isRight }, (fact) => new UsageError(`--${flag}: ${fact}`));
  command.option(`--${flag} <number>`, about, read, standard);
}

export const POSITIVE = { expected: "a positive integer", isRight: isPositive };
export const WHOLE = { expected: "a whole number", isRight: isWhole };

/** Gives a command a flag for each setting, and the defaults of these. */
export function addSettings(command: Command, defaults: Settings): void {
  for (const one of SETTINGS) addNumber(command, separated(one.key, "-"), one, defaults[one.key]);
}

/** The settings among a command's flags. */
export function settingsOf(flags: Settings): Settings {
  const named = SETTINGS.filter(({ key }) => flags[key] !== undefined);
  return Object.fromEntries(named.map(({ key }) => [key, flags[key]]));
}

/** The flags with which a command finds its model. */
export interface ModelFlags {
  readonly model: string;
  readonly revision?: string;
  readonly device: string;
  readonly dtype?: string;
  readonly threads?: number;
  readonly chatTemplate?: string;
}

export function addModel(command: Command): void {
  command
    .requiredOption("--model <folder>", "a model in Hugging Face's layout, or its name on the hub")
    .option("--revision <name>", "the branch, tag or commit of a model that is found on the hub; default main")
    .option("--device <name>", "auto, cpu, cuda or cuda:N", "auto")
    .option("--dtype <name>", "bfloat16 or float32; default bfloat16 on a GPU, float32 on a CPU")
    .option(
      "--chat-template <name>",
      "zephyr, chatml, llama2, llama3, mistral or a template's source; default the model's",
    );
  addNumber(command, "threads", { about: "threads of a CPU; default all", ...POSITIVE });
}

/** How those flags ask for the model. */
export function loadOptionsOf(
  { device, dtype, threads, chatTemplate, revision }: ModelFlags,
  { signal, terminal }: { readonly signal?: AbortSignal; readonly terminal?: Terminal } = {},
) {
  return { device, dtype, threads, chatTemplate, hub: hubOptions({ revision }, signal, terminal) };
}
