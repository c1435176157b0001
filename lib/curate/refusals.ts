import { isUtf8 } from "node:buffer";
import { readFile } from "node:fs/promises";
import { FileError } from "../base/errors.js";
import type { Dialogue } from "./dialogue.js";
import type { Drop } from "./drops.js";
import { findPhrase, type PhraseTable, phrasesOf, tableOf } from "./phrases.js";
import type { Words } from "./words.js";

const ADJECTIVES = "(|any |personal |any personal |real |human |my own |genuine |true )";
const INNER_LIFE =
  "(emotion|emotions|feelings|opinion|opinions|beliefs|experiences|preferences|desires|consciousness|viewpoints|memories)";

/**
 * What assistants say of themselves instead of an answer, in our own words: that they are a program, and have no inner life
 * or body to speak of. `(a|b)` stands for either; case and punctuation do not count.
 */
export const REFUSAL_PHRASES: readonly string[] = [
  "as an (ai|a i|artificial intelligence)( language|) (model|assistant|system|program|chatbot)",
  "as a (large |)language model",
  "as an ai i",
  "(i am|i'm|being) (|just |only |merely |simply )an (ai|artificial intelligence)( language|) (model|assistant|program|system|chatbot)",
  "(i am|i'm) (|just |only |merely |simply )a (computer program|language model|large language model|machine learning model|virtual assistant|chatbot)",
  `i (do not|don't|cannot|can't|am not able to) (have|feel|hold|possess|form|experience|share|express) ${ADJECTIVES}${INNER_LIFE}`,
  `i (|do )(lack|have no) ${ADJECTIVES}${INNER_LIFE}`,
  `(ai|language models) (do not|don't|does not|doesn't|cannot) have ${ADJECTIVES}${INNER_LIFE}`,
  "i (do not|don't) have (a physical body|a body|physical senses|a personal life|a childhood|the ability to feel)",
  "i am not (capable of|able to) (feeling|feel|having|have|experiencing|experience) (emotions|feelings|opinions)",
  "i am (not human|not a human|not a person|not a real person)",
];

export interface RefusalTable {
  readonly phrases: readonly string[];
  readonly table: PhraseTable;
}

/** Phrases, which may have `(a|b)`, ready to be looked for. */
export function refusalTable(patterns: readonly string[]): RefusalTable {
  const phrases = spellOut(patterns);
  return { phrases, table: tableOf(phrasesOf(phrases)) };
}

/** Whether the assistant says one of the phrases. `words` are those of the messages. */
export function findRefusal(refusals: RefusalTable, dialogue: Dialogue, words: readonly Words[]): Drop | undefined {
  for (const [i, { role }] of dialogue.messages.entries()) {
    const found = role === "assistant" ? findPhrase(refusals.table, words[i]!) : undefined;
    if (found === undefined) continue;
    return { step: "refusals", reason: "refusal", detail: `turn ${i + 1}: ${refusals.phrases[found.item]}` };
  }
  return undefined;
}

/** The phrases without alternatives: every way to read their `(a|b)`. */
export function spellOut(patterns: readonly string[]): string[] {
  return patterns.flatMap((pattern) => {
    const match = /\(([^()]*)\)/.exec(pattern);
    if (match === null) return [pattern.replace(/\s+/g, " ").trim()];
    const [before, after] = [pattern.slice(0, match.index), pattern.slice(match.index + match[0].length)];
    return spellOut(match[1]!.split("|").map((choice) => before + choice + after));
  });
}

/** Phrases of a file, one a line; blank lines and those whose first sign is # are passed over. Throws FileError. */
export async function readPhrases(path: string): Promise<string[]> {
  const bytes = await readFile(path).catch((cause) => {
    throw new FileError(path, cause.code === "ENOENT" ? "no such file" : cause.message, { cause });
  });
  if (!isUtf8(bytes)) throw new FileError(path, "is not UTF-8 text, expected phrases, one a line");
  const text = bytes.toString();
  const lines = text.split("\n").map((line) => line.trim()); // which takes a byte order mark off, too
  const phrases = lines.filter((line) => line !== "" && !line.startsWith("#"));
  if (phrases.length === 0) throw new FileError(path, "holds no phrase, expected one a line");
  const silent = phrases.find((phrase) => !/[\p{L}\p{N}]/u.test(phrase));
  if (silent !== undefined) throw new FileError(path, `${JSON.stringify(silent)}, expected a phrase with words`);
  return phrases;
}
