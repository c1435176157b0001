import { Words } from "./words.js";

/** A sequence of words to look for, and the number of the thing it belongs to. */
export interface Phrase {
  readonly words: Words;
  readonly begin: number;
  readonly length: number;
  readonly item: number;
}

/** Phrases as plain arrays, which threads can be handed. `keys` are in order, `items` beside them. */
export interface PhraseTable {
  readonly lengths: readonly number[];
  readonly keys: Float64Array;
  readonly items: Uint32Array;
  /** A bit for each key, by its upper 32 bits: most words that begin no phrase are told by it alone. */
  readonly filter: Uint32Array;
}

export interface FoundPhrase {
  readonly item: number;
  /** Which words: the first, and how many. */
  readonly begin: number;
  readonly length: number;
}

const FILTER_BITS_A_KEY = 16;

/** Puts phrases into a table. Of the same words twice, the first one's item stays. */
export function tableOf(phrases: Iterable<Phrase>): PhraseTable {
  const items = new Map<number, number>();
  const lengths = new Set<number>();
  for (const { words, begin, length, item } of phrases) {
    const key = words.key(begin, length);
    if (!items.has(key)) items.set(key, item);
    lengths.add(length);
  }
  const keys = Float64Array.from(items.keys()).sort();
  const filter = new Uint32Array(2 ** Math.ceil(Math.log2(Math.max(32, FILTER_BITS_A_KEY * keys.length) / 32)));
  for (const key of keys) {
    const bit = bitOf(Math.floor(key / 2 ** 21), filter);
    filter[bit >>> 5]! |= 1 << (bit & 31);
  }
  const inOrder = Uint32Array.from(keys, (key) => items.get(key)!);
  return { lengths: [...lengths].sort((a, b) => a - b), keys, items: inOrder, filter };
}

/** Phrases of plain text, one an item; those without words are left out. */
export function* phrasesOf(texts: readonly string[]): Generator<Phrase, void, void> {
  const words = new Words();
  for (const [item, text] of texts.entries()) {
    const length = words.read(text).count;
    if (length > 0) yield { words, begin: 0, length, item };
  }
}

/** A phrase of the table that these words hold: the shortest, and of those the first. */
export function findPhrase(table: PhraseTable, words: Words): FoundPhrase | undefined {
  for (const length of table.lengths) {
    for (let begin = 0; begin + length <= words.count; begin++) {
      const item = itemOf(table, words, begin, length);
      if (item !== undefined) return { item, begin, length };
    }
  }
  return undefined;
}

/** The item of the phrase that these words are. */
export function itemOf(table: PhraseTable, words: Words, begin: number, length: number): number | undefined {
  const { filter, keys, items } = table;
  const bit = bitOf(words.hash(begin, length), filter);
  if ((filter[bit >>> 5]! & (1 << (bit & 31))) === 0) return undefined;
  const at = placeOf(keys, words.key(begin, length));
  return at < 0 ? undefined : items[at];
}

const bitOf = (hash: number, filter: Uint32Array): number => hash & (32 * filter.length - 1);

function placeOf(keys: Float64Array, key: number): number {
  let [first, last] = [0, keys.length - 1];
  while (first <= last) {
    const middle = (first + last) >>> 1;
    if (keys[middle]! === key) return middle;
    if (keys[middle]! < key) first = middle + 1;
    else last = middle - 1;
  }
  return -1;
}
