import { DataError } from "../base/errors.js";
import { readRows, type SourceRow } from "../data/source.js";
import type { Drop } from "./drops.js";
import { findPhrase, itemOf, type Phrase, type PhraseTable, phrasesOf, tableOf } from "./phrases.js";
import type { Words } from "./words.js";

/** Fields that benchmarks keep their question in, the first that a row has. */
const FIELDS = [
  ...["prompt", "question", "query", "instruction", "problem", "turns", "messages"],
  ...["context", "context_options", "ctx", "input", "text"],
];

/** Shorter items are too common for being part of a message to mean anything: they have to be all of it. */
const LEAST_WORDS = 5;

/** What benchmarks ask, as words to look for. */
export interface BenchmarkTable {
  /** Sequences of n words, and whole items that are shorter. */
  readonly parts: PhraseTable;
  /** Items so short that only a message that is the same counts. */
  readonly wholes: PhraseTable;
  /** `file:line` of every item. */
  readonly places: readonly string[];
}

/**
 * Reads benchmarks: rows whose question is text, a list of texts or messages, in the first field of a list of usual ones or in
 * `field`. Throws FileError, and DataError for a row without one.
 */
export async function readBenchmarks(
  paths: readonly string[],
  options: { readonly ngram: number; readonly field?: string | undefined },
): Promise<BenchmarkTable> {
  const texts: string[] = [];
  const places: string[] = [];
  for (const path of paths) {
    for await (const row of readRows(path, { split: "test" })) {
      for (const text of textsOf(row, options.field)) {
        texts.push(text);
        places.push(`${row.source}:${row.index + 1}`);
      }
    }
  }
  return { ...benchmarkTables(texts, options.ngram), places };
}

/** Tables of what is asked; an item's number is its text's place in the list. */
export function benchmarkTables(texts: readonly string[], ngram: number): Omit<BenchmarkTable, "places"> {
  const isWhole = ({ length }: Phrase): boolean => length < Math.min(LEAST_WORDS, ngram);
  function* parts(): Generator<Phrase, void, void> {
    for (const item of phrasesOf(texts)) {
      if (isWhole(item)) continue;
      const length = Math.min(ngram, item.length);
      for (let begin = 0; begin + length <= item.length; begin++) yield { ...item, begin, length };
    }
  }
  function* wholes(): Generator<Phrase, void, void> {
    for (const item of phrasesOf(texts)) if (isWhole(item)) yield item;
  }
  return { parts: tableOf(parts()), wholes: tableOf(wholes()) };
}

/** Whether a message, given as its words, holds something of a benchmark. */
export function findBenchmark({ parts, wholes, places }: BenchmarkTable, messages: readonly Words[]): Drop | undefined {
  for (const [i, words] of messages.entries()) {
    const part = findPhrase(parts, words);
    const isShort = wholes.lengths.includes(words.count);
    const item = part?.item ?? (isShort ? itemOf(wholes, words, 0, words.count) : undefined);
    if (item === undefined) continue;
    const detail = `turn ${i + 1}: ${part?.length ?? words.count} words of ${places[item]}`;
    return { step: "decontamination", reason: "benchmark", detail };
  }
  return undefined;
}

function textsOf(row: SourceRow, field: string | undefined): string[] {
  const name = field ?? FIELDS.find((each) => row.fields[each] != null);
  const value = name === undefined ? undefined : row.fields[name];
  const texts = (Array.isArray(value) ? value : [value]).map((each: unknown) =>
    typeof each === "object" && each !== null ? (each as Record<string, unknown>).content : each,
  );
  if (texts.length > 0 && texts.every((text) => typeof text === "string")) return texts;
  const expected = field === undefined ? `one of ${FIELDS.join(", ")}, as text` : `text in ${JSON.stringify(field)}`;
  throw new DataError(row, `${Object.keys(row.fields).join(", ") || "no fields"}; expected ${expected}`);
}
