import { SKETCH_SIZE, similarityOf } from "./sketch.js";
import { mix } from "./words.js";

/** Rows of a bucket that are compared, the latest first: texts that share a frame would be compared with all others else. */
const MOST_COMPARED = 128;
/** Rows in one piece of memory, so that more rows never move those before. */
const PIECE_ROWS = 1 << 14;
/** Of rows as similar as the threshold, so many have a band in common at the least. */
const RECALL = 0.95;

export interface NearDuplicate {
  /** The number of the earlier row. */
  readonly row: number;
  readonly similarity: number;
}

/**
 * Sketches of rows, among which those similar to another are found without comparing all (locality-sensitive hashing): a
 * sketch is cut into bands, rows that are equal in a band lie in one bucket, and only rows of a bucket are compared.
 */
export class NearDuplicates {
  private readonly bands: number;
  private readonly bandSize: number;
  private readonly pieces: Piece[] = [];
  private heads: Int32Array = new Int32Array(1 << 12).fill(-1); // the latest entry of each bucket
  private rows = 0;

  constructor(private readonly threshold: number) {
    this.bandSize = bandSizeFor(threshold);
    this.bands = Math.floor(SKETCH_SIZE / this.bandSize);
  }

  /** An earlier row that is at least as similar as the threshold. */
  find(sketch: Uint8Array): NearDuplicate | undefined {
    for (let band = 0; band < this.bands; band++) {
      let entry = this.heads[this.bucketOf(sketch, 0, band)]!;
      for (let compared = 0; entry >= 0 && compared < MOST_COMPARED; compared++) {
        const row = Math.floor(entry / this.bands);
        const { sketches, before } = this.pieces[Math.floor(row / PIECE_ROWS)]!;
        const similarity = similarityOf(sketch, sketches, (row % PIECE_ROWS) * SKETCH_SIZE);
        if (similarity >= this.threshold) return { row, similarity };
        entry = before[(row % PIECE_ROWS) * this.bands + (entry % this.bands)]!;
      }
    }
    return undefined;
  }

  /** Adds a row; rows have the numbers 0, 1, 2, ... in the order in which they are added. */
  add(sketch: Uint8Array): void {
    const row = this.rows++;
    if (row % PIECE_ROWS === 0) {
      const sketches = new Uint8Array(PIECE_ROWS * SKETCH_SIZE);
      this.pieces.push({ sketches, before: new Int32Array(PIECE_ROWS * this.bands) });
    }
    this.pieces.at(-1)!.sketches.set(sketch, (row % PIECE_ROWS) * SKETCH_SIZE);
    if (this.rows * this.bands > this.heads.length) this.grow();
    else this.enter(row);
  }

  private grow(): void {
    this.heads = new Int32Array(2 * this.heads.length).fill(-1);
    for (let row = 0; row < this.rows; row++) this.enter(row);
  }

  private enter(row: number): void {
    const { sketches, before } = this.pieces[Math.floor(row / PIECE_ROWS)]!;
    const at = row % PIECE_ROWS;
    for (let band = 0; band < this.bands; band++) {
      const bucket = this.bucketOf(sketches, at * SKETCH_SIZE, band);
      before[at * this.bands + band] = this.heads[bucket]!;
      this.heads[bucket] = row * this.bands + band;
    }
  }

  private bucketOf(sketches: Uint8Array, at: number, band: number): number {
    let hash = band + 1;
    const begin = at + band * this.bandSize;
    for (let i = begin; i < begin + this.bandSize; i++) hash = mix(Math.imul(hash, 257) + sketches[i]!);
    return hash & (this.heads.length - 1);
  }
}

interface Piece {
  readonly sketches: Uint8Array; // [PIECE_ROWS, SKETCH_SIZE]
  readonly before: Int32Array; // [PIECE_ROWS, bands], the entry before in the same bucket, -1 at its end
}

/** The most values a band can have with which rows as similar as the threshold still meet. */
export function bandSizeFor(threshold: number): number {
  const recall = (size: number): number => 1 - (1 - threshold ** size) ** Math.floor(SKETCH_SIZE / size);
  let size = 1;
  while (size < SKETCH_SIZE && recall(size + 1) >= RECALL) size++;
  return size;
}
