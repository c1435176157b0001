import type { Tokenizer } from "./tokenizer.js";

/** Where each token lies in the UTF-8 bytes of its text: token i is [begins[i], ends[i]). */
export interface TokenOffsets {
  readonly begins: Int32Array;
  readonly ends: Int32Array;
}

/**
 * Finds a text's tokens in it again. A token that stands for no text (the "▁" that is put before a word) has length 0;
 * text that no token stands for (characters the vocabulary lacks, blanks that a special token swallows) lies between
 * two tokens; <unk> reaches to the next token. Returns undefined where the tokenizer changes the text's characters.
 */
export function tokenOffsets(tokenizer: Tokenizer, text: string, ids: ArrayLike<number>): TokenOffsets | undefined {
  const bytes = Buffer.from(text);
  const begins = new Int32Array(ids.length);
  const ends = new Int32Array(ids.length);
  let position = 0;
  let openUnknown = -1;
  for (let i = 0; i < ids.length; i++) {
    const surface = tokenizer.bytesOf(ids[i]!);
    if (ids[i] === tokenizer.unkId && !isAt(bytes, surface, position)) {
      begins[i] = position;
      openUnknown = i;
      continue;
    }
    const place = openUnknown < 0 ? placeOf(bytes, surface, position) : placeAfter(bytes, surface, position + 1);
    if (place === undefined) return undefined;
    begins[i] = place.begin;
    ends[i] = position = place.end;
    if (openUnknown >= 0) ends[openUnknown] = place.begin;
    openUnknown = -1;
  }
  if (openUnknown >= 0) ends[openUnknown] = bytes.length;
  return { begins, ends };
}

interface Place {
  readonly begin: number;
  readonly end: number;
}

const SPACE = 0x20;

function placeOf(bytes: Buffer, surface: Buffer, at: number): Place | undefined {
  if (isAt(bytes, surface, at)) return { begin: at, end: at + surface.length };
  // A word's own blank is in the text; the one that the tokenizer put before it is not.
  if (surface[0] === SPACE && isAt(bytes, surface.subarray(1), at)) return { begin: at, end: at + surface.length - 1 };
  return placeAfter(bytes, surface, at);
}

function placeAfter(bytes: Buffer, surface: Buffer, from: number): Place | undefined {
  const begin = bytes.indexOf(surface, from);
  return begin < 0 ? undefined : { begin, end: begin + surface.length };
}

const isAt = (bytes: Buffer, surface: Buffer, at: number): boolean =>
  at + surface.length <= bytes.length && surface.equals(bytes.subarray(at, at + surface.length));
