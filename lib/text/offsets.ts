import type { Tokenizer } from "./tokenizer.js";

/** Where each token lies in the UTF-8 bytes of its text: token i is [begins[i], ends[i]). */
export interface TokenOffsets {
  readonly begins: Int32Array;
  readonly ends: Int32Array;
}

/**
 * Finds a text's tokens in it again. A token that stands for no text (the "▁" that is put before a word) has length 0;
 * text that no token stands for (characters the vocabulary lacks, blanks that a special token swallows) lies between
 * two tokens or within one; <unk> reaches to the next token. Returns undefined where the tokenizer changes characters.
 */
export function tokenOffsets(tokenizer: Tokenizer, text: string, ids: ArrayLike<number>): TokenOffsets | undefined {
  const bytes = Buffer.from(text);
  const omitted = omittedLengths(tokenizer, text, bytes.length);
  const begins = new Int32Array(ids.length);
  const ends = new Int32Array(ids.length);
  let position = 0;
  let openUnknown = -1;
  for (let i = 0; i < ids.length; i++) {
    const surface = tokenizer.bytesOf(ids[i]!);
    if (ids[i] === tokenizer.unkId && match(bytes, surface, position, omitted) === undefined) {
      begins[i] = position;
      openUnknown = i;
      continue;
    }
    const isOpen = openUnknown >= 0;
    const place = isOpen ? find(bytes, surface, position) : placeAt(bytes, surface, position, omitted);
    if (place === undefined) return undefined;
    begins[i] = place.begin;
    ends[i] = position = place.end;
    if (isOpen) ends[openUnknown] = place.begin;
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

function placeAt(bytes: Buffer, surface: Buffer, at: number, omitted: Uint8Array | undefined): Place | undefined {
  // A word's own blank is in the text; the one that the tokenizer put before it is not.
  const bare = surface[0] === SPACE ? surface.subarray(1) : surface;
  const place = match(bytes, surface, at, omitted) ?? match(bytes, bare, at, omitted);
  if (place !== undefined) return place;
  const next = afterBlanks(bytes, at); // an added token may have taken them with it
  return next === at ? undefined : (match(bytes, surface, next, omitted) ?? match(bytes, bare, next, omitted));
}

function afterBlanks(bytes: Buffer, at: number): number {
  let position = at;
  while (
    position < bytes.length &&
    (bytes[position] === SPACE || (bytes[position]! >= 0x09 && bytes[position]! <= 0x0d))
  ) {
    position++;
  }
  return position;
}

function find(bytes: Buffer, surface: Buffer, from: number): Place | undefined {
  const begin = bytes.indexOf(surface, from);
  return begin < 0 ? undefined : { begin, end: begin + surface.length };
}

/** Reads `surface` at a place, over characters that have no token. */
function match(bytes: Buffer, surface: Buffer, at: number, omitted: Uint8Array | undefined): Place | undefined {
  if (surface.equals(bytes.subarray(at, at + surface.length))) return { begin: at, end: at + surface.length };
  if (omitted === undefined) return undefined;
  let [begin, position, read] = [-1, at, 0];
  while (read < surface.length) {
    if (position >= bytes.length) return undefined;
    if (omitted[position]! > 0) {
      position += omitted[position]!;
      continue;
    }
    if (bytes[position] !== surface[read]) return undefined;
    if (begin < 0) begin = position;
    position++;
    read++;
  }
  return { begin: begin < 0 ? at : begin, end: position };
}

/** At the first byte of a character that has no token the length of the character; undefined where all have. */
function omittedLengths(tokenizer: Tokenizer, text: string, length: number): Uint8Array | undefined {
  let lengths: Uint8Array | undefined;
  let position = 0;
  for (const character of text) {
    const size = Buffer.byteLength(character);
    if (tokenizer.leavesOut(character)) {
      lengths ??= new Uint8Array(length);
      lengths[position] = size;
    }
    position += size;
  }
  return lengths;
}
