import { DataError, type RowPlace } from "../base/errors.js";
import {
  atPlace,
  commonPrefix,
  type EncodeCounts,
  type EncodeOptions,
  encodeAnswer,
  type TokenPair,
} from "./encode.js";
import type { PreferencePair } from "./row.js";

export interface PairEncodeOptions extends EncodeOptions {
  /** Most tokens of a prompt; of a longer one the end stays. Default: no limit. */
  readonly maxPromptLength?: number | null | undefined;
  /**
   * What to do where a token of the whole text reaches across the end of the prompt, so that the prompt by itself has
   * other tokens than the whole begins with. `trl`: the answer is what is left of the whole after as many tokens as the
   * prompt has, which may lose or repeat a few characters; TRL does this and warns. `exact`: the prompt ends before the
   * first token that is not in both wholes, so that both rows are exactly their texts. Default `trl`.
   */
  readonly promptBoundary?: "trl" | "exact" | undefined;
}

/**
 * Pairs as tokens, by TRL's rules. The prompt is rendered with the generation prompt, the answers after it; text that is
 * not a chat gets EOS and the tokenizer's special tokens. A pair whose prompt leaves no room in `maxLength` is dropped.
 * Throws DataError for a pair that its template refuses, and where no pair is left.
 */
export function encodePairs(
  rows: readonly PreferencePair[],
  options: PairEncodeOptions,
): EncodeCounts & { readonly pairs: TokenPair[] } {
  const pairs: TokenPair[] = [];
  let [truncated, straddled] = [0, 0];
  let longestPrompt = 0;
  for (const row of rows) {
    const encoded = encodePair(row, options);
    longestPrompt = Math.max(longestPrompt, encoded.promptLength);
    if (encoded.pair === undefined) continue;
    if (encoded.isTruncated) truncated++;
    if (encoded.straddles) straddled++;
    pairs.push(encoded.pair);
  }
  if (rows.length > 0 && pairs.length === 0) throw noRoomForAnswers(rows[0]!.place, longestPrompt, options);
  return { pairs, dropped: rows.length - pairs.length, truncated, straddled };
}

/** One row of `encodePairs`; no pair where there is no room for an answer. */
export function encodePair(
  row: PreferencePair,
  options: PairEncodeOptions,
): {
  readonly pair?: TokenPair;
  readonly promptLength: number;
  readonly isTruncated: boolean;
  readonly straddles: boolean;
} {
  const { straddles, ...whole } = atPlace(row.place, () => encodeWhole(row, options));
  const pair = truncate(whole, options);
  const promptLength = whole.prompt.length;
  if (pair === undefined) return { promptLength, isTruncated: false, straddles };
  return { pair, promptLength, isTruncated: sizeOf(pair) < sizeOf(whole), straddles };
}

export function noRoomForAnswers(first: RowPlace, longestPrompt: number, { maxLength }: EncodeOptions): DataError {
  return new DataError(
    first,
    `max_length ${maxLength} leaves no room for an answer to this and every other prompt (the longest has ` +
      `${longestPrompt} tokens); expected a larger max_length, or a max_prompt_length below it`,
  );
}

function encodeWhole(row: PreferencePair, options: PairEncodeOptions): TokenPair & { readonly straddles: boolean } {
  const { prompt, whole: chosen } = encodeAnswer(row.prompt, row.chosen, options);
  const { whole: rejected } = encodeAnswer(row.prompt, row.rejected, options);
  const shared = Math.min(commonPrefix(prompt, chosen), commonPrefix(prompt, rejected));
  const straddles = shared < prompt.length;
  const end = options.promptBoundary === "exact" ? shared : prompt.length;
  const pair = {
    prompt: prompt.slice(0, end),
    chosen: chosen.slice(end),
    rejected: rejected.slice(end),
    place: row.place,
  };
  for (const part of ["prompt", "chosen", "rejected"] as const) {
    if (pair[part].length === 0) throw new DataError(row.place, `${part}: no tokens, expected at least one`);
  }
  return { ...pair, straddles };
}

function truncate(pair: TokenPair, options: PairEncodeOptions): TokenPair | undefined {
  const maxPrompt = options.maxPromptLength ?? pair.prompt.length;
  const prompt = pair.prompt.slice(Math.max(0, pair.prompt.length - maxPrompt));
  const { maxLength } = options;
  if (maxLength == null) return { ...pair, prompt };
  if (options.truncation !== "keep_end") {
    const room = maxLength - prompt.length;
    if (room <= 0) return undefined;
    return { ...pair, prompt, chosen: pair.chosen.slice(0, room), rejected: pair.rejected.slice(0, room) };
  }
  // TRL cuts each answer's row by itself, so that the two may keep different ends of the prompt. Here both keep the end
  // that the longer answer leaves room for, and at least one token, from which the answers' first is predicted.
  const longer = Math.max(pair.chosen.length, pair.rejected.length);
  const kept = Math.min(prompt.length, Math.max(1, maxLength - longer));
  const lastOf = (answer: Int32Array): Int32Array => answer.slice(Math.max(0, answer.length - (maxLength - kept)));
  if (maxLength <= kept) return undefined;
  return {
    ...pair,
    prompt: prompt.slice(prompt.length - kept),
    chosen: lastOf(pair.chosen),
    rejected: lastOf(pair.rejected),
  };
}

const sizeOf = ({ prompt, chosen, rejected }: TokenPair): number => prompt.length + chosen.length + rejected.length;
