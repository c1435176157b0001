import { mix, type Words } from "./words.js";

/** Values of a sketch; a byte of each is kept. */
export const SKETCH_SIZE = 128;

/**
 * Sketches sets of shingles (sequences of so many words) so that the share of equal values of two sketches estimates the
 * sets' Jaccard similarity, after Dahlgaard, Knudsen and Thorup, "Fast Similarity Sketching" (FOCS 2017): round by round
 * every shingle falls into one of the places, and the smallest of the first round that reaches a place holds it. That is as
 * sharp as so many independent minima, also for sets smaller than the sketch, and takes a few hashes a shingle.
 */
export class Sketcher {
  private shingles = new Int32Array(1024);
  private count = 0;
  private readonly values = new Float64Array(SKETCH_SIZE);
  private readonly bytes = new Uint8Array(SKETCH_SIZE);

  constructor(
    private readonly shingleSize: number,
    private readonly seed: number,
  ) {}

  /** Adds the shingles of a text to the set; of one that is shorter than a shingle, all its words as one. */
  add(words: Words): void {
    const length = Math.min(this.shingleSize, words.count);
    if (length === 0) return;
    for (let begin = 0; begin + length <= words.count; begin++) this.push(words.hash(begin, length));
  }

  private push(shingle: number): void {
    if (this.count === this.shingles.length) {
      const longer = new Int32Array(2 * this.count);
      longer.set(this.shingles);
      this.shingles = longer;
    }
    this.shingles[this.count++] = shingle;
  }

  /**
   * The sketch of the set, as SKETCH_SIZE bytes that are valid until the next; the set is empty then. A set that has no
   * shingles is as one with the shingle `instead` alone.
   */
  finish(instead: number): Uint8Array {
    if (this.count === 0) this.push(instead);
    const { values, bytes, shingles, count } = this;
    values.fill(Number.POSITIVE_INFINITY);
    this.count = 0;
    let missing = SKETCH_SIZE;
    for (let round = 0; missing > 0; round++) {
      const key = mix(this.seed ^ Math.imul(round + 1, 0x9e3779b9));
      for (let i = 0; i < count; i++) {
        const hash = mix(shingles[i]! ^ key);
        const place = hash & (SKETCH_SIZE - 1);
        const value = round * 2 ** 32 + (hash >>> 0);
        if (value >= values[place]!) continue;
        if (values[place] === Number.POSITIVE_INFINITY) missing--;
        values[place] = value;
        bytes[place] = hash >>> 7;
      }
    }
    return bytes;
  }
}

/** The Jaccard similarity that two sketches show, the other at `begin` of many: bytes are equal by chance once in 256 times. */
export function similarityOf(a: Uint8Array, others: Uint8Array, begin = 0): number {
  let equal = 0;
  for (let i = 0; i < SKETCH_SIZE; i++) if (a[i] === others[begin + i]) equal++;
  return Math.max(0, (equal / SKETCH_SIZE - 1 / 256) / (1 - 1 / 256));
}
