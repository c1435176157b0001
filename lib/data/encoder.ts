import type { RowPlace } from "../base/errors.js";
import { ChatTemplate } from "../text/chat_template.js";
import { Tokenizer } from "../text/tokenizer.js";
import type { RowChoice } from "./chosen.js";
import { encodeSequence, nothingToLearn, type SftEncodeOptions } from "./encode.js";
import { encodePair, noRoomForAnswers, type PairEncodeOptions } from "./encode_pairs.js";
import { keepColumns, parseRow, type SourceRow } from "./raw_row.js";
import { toPreferencePair, toSftRow } from "./row.js";
import type { RowBlock } from "./row_blocks.js";

type Plain<Options> = Omit<Options, "tokenizer" | "template">;

/** What is to be made of rows, in words that another thread understands; `chatTemplate` is Jinja source. */
export type Encoding = { readonly tokenizerFolder: string; readonly chatTemplate: string } & (
  | { readonly kind: "sft"; readonly textField: string; readonly options: Plain<SftEncodeOptions> }
  | { readonly kind: "dpo"; readonly options: Plain<PairEncodeOptions> }
);

/** Whether a row was kept, cut, and had a token across its prompt's end: bits of its flags. */
export const FLAGS = { kept: 1, truncated: 2, straddles: 4 };

/** A row's parts: of a sequence its length, of a pair those of prompt, chosen and rejected. */
export const NUM_LENGTHS = 3;

/**
 * Rows as tokens. Each kept row takes `bytesOfRow` of `data`: its ids as int32 and, of a sequence, a byte a token that
 * says whether it is learned, padded to whole ids. A row that is dropped has the length of its prompt and no data.
 */
export interface EncodedBlock {
  readonly data: Uint8Array<ArrayBuffer>;
  readonly lengths: Int32Array<ArrayBuffer>; // [rows, NUM_LENGTHS]
  readonly flags: Uint8Array<ArrayBuffer>; // [rows]
}

export function bytesOfRow(kind: Encoding["kind"], [a, b, c]: readonly [number, number, number]): number {
  return kind === "dpo" ? 4 * (a + b + c) : 4 * a + 4 * Math.ceil(a / 4);
}

/** Turns blocks of rows into tokens, by `encodeSft` or `encodePairs`. */
export class Encoder {
  private readonly encodeRow: (row: SourceRow) => EncodedRow;

  private constructor(encoding: Encoding, tokenizer: Tokenizer) {
    const tools = { tokenizer, template: new ChatTemplate(encoding.chatTemplate, tokenizer) };
    if (encoding.kind === "sft") {
      const options = { ...encoding.options, ...tools };
      this.encodeRow = (row) => sequenceRow(encodeSequence(toSftRow(row, encoding), options));
    } else {
      const options = { ...encoding.options, ...tools };
      this.encodeRow = (row) => pairRow(encodePair(toPreferencePair(row), options));
    }
  }

  static async load(encoding: Encoding): Promise<Encoder> {
    return new Encoder(encoding, await Tokenizer.load(encoding.tokenizerFolder));
  }

  /** Throws DataError for the first row that cannot be read or is refused. */
  encode(block: RowBlock<RowChoice>): EncodedBlock {
    const lengths = new Int32Array(NUM_LENGTHS * block.rows.length);
    const flags = new Uint8Array(block.rows.length);
    const parts: Uint8Array[] = [];
    let begin = 0;
    block.rows.forEach(({ source, index, end, columns }, i) => {
      const row = keepColumns(parseRow({ source, index, bytes: block.bytes.subarray(begin, end) }), columns);
      begin = end;
      const encoded = this.encodeRow(row);
      lengths.set(encoded.lengths, NUM_LENGTHS * i);
      flags[i] = encoded.flags;
      parts.push(...encoded.parts);
    });
    return { data: Uint8Array.from(Buffer.concat(parts)), lengths, flags };
  }
}

interface EncodedRow {
  readonly lengths: readonly number[];
  readonly flags: number;
  readonly parts: readonly Uint8Array[];
}

function sequenceRow({ sequence, ...facts }: ReturnType<typeof encodeSequence>): EncodedRow {
  if (sequence === undefined) return { lengths: [], flags: 0, parts: [] };
  const { ids, trainable } = sequence;
  const padding = new Uint8Array(-ids.length & 3);
  return { lengths: [ids.length], flags: flagsOf(facts), parts: [bytesOf(ids), trainable, padding] };
}

function pairRow({ pair, promptLength, ...facts }: ReturnType<typeof encodePair>): EncodedRow {
  if (pair === undefined) return { lengths: [promptLength], flags: 0, parts: [] };
  const parts = [pair.prompt, pair.chosen, pair.rejected];
  return { lengths: parts.map(({ length }) => length), flags: flagsOf(facts), parts: parts.map(bytesOf) };
}

/** Of a row that is kept. */
const flagsOf = (facts: { readonly isTruncated: boolean; readonly straddles: boolean }): number =>
  FLAGS.kept | (facts.isTruncated ? FLAGS.truncated : 0) | (facts.straddles ? FLAGS.straddles : 0);

/** Why no row was left, of rows that were all dropped. */
export function nothingKept(encoding: Encoding, first: RowPlace, longestPrompt: number): Error {
  const options = encoding.options as SftEncodeOptions & PairEncodeOptions;
  return encoding.kind === "sft" ? nothingToLearn(first, options) : noRoomForAnswers(first, longestPrompt, options);
}

const bytesOf = (ids: Int32Array): Uint8Array => new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength);
