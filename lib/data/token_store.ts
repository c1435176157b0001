import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { open, readdir, readFile, rm, stat, utimes } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { BlockPool } from "../base/block_pool.js";
import { AbortedError, FileError, type RowPlace } from "../base/errors.js";
import { makeFolder, writeFileAtomic, writeFolderAtomic } from "../base/files.js";
import { type RowChoice, readChosen } from "./chosen.js";
import type { EncodeCounts, TokenPair, TokenSequence } from "./encode.js";
import { bytesOfRow, type EncodedBlock, Encoder, type Encoding, FLAGS, NUM_LENGTHS, nothingKept } from "./encoder.js";
import type { ChosenRows } from "./mix.js";
import { type RowBlock, rowBlocks, WORTH_THREADS } from "./row_blocks.js";
import type { Rows } from "./rows.js";

/** Part of a store's name: raise it when the same input gives other tokens. */
const VERSION = 1;
/** Stores that nobody has used for so long are removed when another is written. */
const KEPT_DAYS = 30;

export interface StoreOptions {
  readonly encoding: Encoding;
  /** Most threads to encode with. */
  readonly numThreads: number;
  /** Where stores are kept. Default: `tokens` in westwind's cache folder. */
  readonly folder?: string;
  /** Ends the encoding with AbortedError; nothing is kept. */
  readonly signal?: AbortSignal | undefined;
  /** Told how many rows are encoded, now and then. */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
}

/** Rows as tokens in a file, of which those in use are in memory. */
export interface TokenStore<Row> {
  readonly train: StoredRows<Row>;
  readonly test: StoredRows<Row>;
}

export interface StoredRows<Row> extends Rows<Row> {
  readonly counts: EncodeCounts;
  /** Tokens of the longest row; of a pair, of its prompt once and both answers. */
  readonly longest: number;
}

/**
 * Encodes the chosen rows, or opens what an earlier call encoded of the same rows in the same way. A store is a folder
 * named by the content of the rows, which were chosen, and how they are encoded. Throws DataError for the first row at
 * fault, or where no row is left, and FileError.
 */
export async function openTokens<Row extends TokenSequence | TokenPair>(
  chosen: ChosenRows,
  options: StoreOptions,
): Promise<TokenStore<Row>> {
  const choices = [...chosen.train, ...chosen.test];
  const parent = options.folder ?? defaultFolder();
  const path = join(parent, await keyOf(chosen, options.encoding));
  const isThere = () =>
    stat(path).then(
      () => true,
      () => false,
    );
  if (!(await isThere())) {
    await makeFolder(parent);
    await removeUnused(parent);
    await writeFolderAtomic(path, (folder) => write(folder, choices, options)).catch(async (error) => {
      if (!(await isThere())) throw error; // else another process was faster, and wrote the same
    });
  }
  const now = new Date();
  await utimes(path, now, now).catch(() => undefined);
  return read<Row>(path, options.encoding, chosen, choices);
}

const defaultFolder = (): string => join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "westwind", "tokens");

async function removeUnused(parent: string): Promise<void> {
  const oldest = Date.now() - KEPT_DAYS * 24 * 3600 * 1000;
  for (const name of await readdir(parent)) {
    const path = join(parent, name);
    const isUnused = ((await stat(path).catch(() => undefined))?.mtimeMs ?? Number.POSITIVE_INFINITY) < oldest;
    if (isUnused) await rm(path, { recursive: true, force: true });
  }
}

async function keyOf({ train, test, contentHash }: ChosenRows, encoding: Encoding): Promise<string> {
  const hash = createHash("sha256");
  const { tokenizerFolder, ...asked } = encoding;
  hash.update(JSON.stringify([VERSION, contentHash, asked, train.length, test.length]));
  for (const name of ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "config.json"]) {
    const bytes = await readFile(join(tokenizerFolder, name)).catch(() => Buffer.of());
    hash.update(`${name} ${bytes.length} `).update(bytes);
  }
  const sources = new Map<string, number>();
  for (const { source, index, columns } of [...train, ...test]) {
    let number = sources.get(source);
    if (number === undefined) {
      number = sources.size;
      sources.set(source, number);
    }
    hash.update(`${number}:${index}${columns === undefined ? "" : JSON.stringify(columns)} `);
  }
  return hash.digest("hex").slice(0, 32);
}

async function write(folder: string, choices: readonly RowChoice[], options: StoreOptions): Promise<void> {
  const { encoding } = options;
  const offsets = new Float64Array(choices.length);
  const lengths = new Int32Array(NUM_LENGTHS * choices.length);
  const flags = new Uint8Array(choices.length);
  const order: number[][] = []; // of the blocks that are on their way
  await using pool = new BlockPool<RowBlock<RowChoice>, EncodedBlock>({
    ...{ worker: "#encode_worker", workerData: encoding, numThreads: options.numThreads, worthThreads: WORTH_THREADS },
    here: async () => {
      const encoder = await Encoder.load(encoding);
      return (block) => encoder.encode(block);
    },
  });
  const file = await open(join(folder, "rows.bin"), "wx");
  try {
    let [size, written] = [0, 0];
    for await (const block of pool.work(blocksOf(choices, order))) {
      order.shift()!.forEach((at, i) => {
        const parts = block.lengths.subarray(NUM_LENGTHS * i, NUM_LENGTHS * (i + 1));
        lengths.set(parts, NUM_LENGTHS * at);
        flags[at] = block.flags[i]!;
        offsets[at] = size;
        if ((flags[at]! & FLAGS.kept) !== 0) size += bytesOfRow(encoding.kind, [parts[0]!, parts[1]!, parts[2]!]);
      });
      await file.appendFile(block.data);
      written += block.flags.length;
      options.onProgress?.({ done: written, total: choices.length });
      if (options.signal?.aborted) throw new AbortedError(0, "stopped before the first step; nothing was saved");
    }
    if (written < choices.length) throw new FileError(choices[0]!.source, "changed while it was read");
  } finally {
    await file.close();
  }
  const index = [offsets, lengths, flags].map(({ buffer }) => new Uint8Array(buffer));
  await writeFileAtomic(join(folder, "index.bin"), Uint8Array.from(Buffer.concat(index)));
}

/** The chosen rows in blocks; `order` is told which each of them holds. */
async function* blocksOf(
  choices: readonly RowChoice[],
  order: number[][],
): AsyncGenerator<RowBlock<RowChoice>, void, void> {
  async function* chosen() {
    for await (const { at, row } of readChosen(choices)) yield { ...choices[at]!, at, bytes: row.bytes };
  }
  for await (const block of rowBlocks(chosen())) {
    order.push(block.rows.map(({ at }) => at));
    yield block;
  }
}

async function read<Row extends TokenSequence | TokenPair>(
  path: string,
  encoding: Encoding,
  { train }: ChosenRows,
  choices: readonly RowChoice[],
): Promise<TokenStore<Row>> {
  const count = choices.length;
  const bytes = await readFile(join(path, "index.bin")).catch((cause) => {
    throw new FileError(path, `${cause.message}; delete the folder to have the rows encoded again`, { cause });
  });
  const expected = count * (8 + 4 * NUM_LENGTHS + 1);
  if (bytes.length !== expected) {
    const found = `index.bin has ${bytes.length} bytes, expected ${expected} of ${count} rows`;
    throw new FileError(path, `${found}; delete the folder to have the rows encoded again`);
  }
  const { buffer } = Uint8Array.from(bytes);
  const offsets = new Float64Array(buffer, 0, count);
  const lengths = new Int32Array(buffer, 8 * count, NUM_LENGTHS * count);
  const flags = new Uint8Array(buffer, (8 + 4 * NUM_LENGTHS) * count, count);

  const rowAt = (at: number): Row => {
    const [a, b, c] = lengths.subarray(NUM_LENGTHS * at, NUM_LENGTHS * (at + 1)) as unknown as [number, number, number];
    const data = readBytes(join(path, "rows.bin"), offsets[at]!, bytesOfRow(encoding.kind, [a, b, c]));
    const ids = (begin: number, length: number) => new Int32Array(data.buffer, 4 * begin, length);
    const place: RowPlace = { source: choices[at]!.source, index: choices[at]!.index };
    const row: TokenSequence | TokenPair =
      encoding.kind === "sft"
        ? { ids: ids(0, a), trainable: data.subarray(4 * a, 5 * a), place }
        : { prompt: ids(0, a), chosen: ids(a, b), rejected: ids(a + b, c), place };
    return row as Row;
  };
  const part = (first: number, last: number): StoredRows<Row> => {
    const kept: number[] = [];
    let [truncated, straddled, longest, longestDropped] = [0, 0, 0, 0];
    for (let at = first; at < last; at++) {
      const size = lengths.subarray(NUM_LENGTHS * at, NUM_LENGTHS * (at + 1)).reduce((sum, each) => sum + each, 0);
      if ((flags[at]! & FLAGS.kept) === 0) {
        longestDropped = Math.max(longestDropped, size);
        continue;
      }
      kept.push(at);
      longest = Math.max(longest, size);
      if ((flags[at]! & FLAGS.truncated) !== 0) truncated++;
      if ((flags[at]! & FLAGS.straddles) !== 0) straddled++;
    }
    if (last > first && kept.length === 0) throw nothingKept(encoding, choices[first]!, longestDropped);
    return {
      length: kept.length,
      at: (index) => (index >= 0 && index < kept.length ? rowAt(kept[index]!) : undefined),
      counts: { dropped: last - first - kept.length, truncated, straddled },
      longest,
    };
  };
  return { train: part(0, train.length), test: part(train.length, count) };
}

/** Bytes of a file that is opened for them alone, so that nobody has to close it. */
function readBytes(path: string, offset: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let what: string;
  try {
    const file = openSync(path, "r");
    const found = readSync(file, bytes, 0, length, offset);
    closeSync(file);
    if (found === length) return bytes;
    what = `ends ${length - found} bytes early, at ${offset + found}`;
  } catch (error) {
    what = (error as Error).message;
  }
  throw new FileError(path, `${what}; delete its folder to have the rows encoded again`);
}
