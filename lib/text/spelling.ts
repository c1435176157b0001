import { isObject } from "../base/json.js";
import type { TokenizerJson } from "./tokenizer_files.js";

/** How a vocabulary writes text: byte-level BPE spells bytes as letters, the others write a blank as "▁". */
export class Spelling {
  private readonly added: ReadonlySet<string>;
  private readonly isByteLevel: boolean;
  private readonly hasByteTokens: boolean;

  constructor(json: TokenizerJson) {
    this.added = new Set(json.added_tokens.map(({ content }) => content));
    this.isByteLevel = isByteLevel(json.decoder);
    this.hasByteTokens = json.model.byte_fallback === true;
  }

  bytesOf(token: string): Buffer {
    if (this.added.has(token)) return Buffer.from(token);
    if (this.isByteLevel) return Buffer.from(Array.from(token, (letter) => BYTE_OF_LETTER.get(letter) ?? 0x3f));
    const byte = this.hasByteTokens ? /^<0x([0-9A-F]{2})>$/.exec(token)?.[1] : undefined;
    return byte === undefined ? Buffer.from(token.replaceAll("▁", " ")) : Buffer.from([Number.parseInt(byte, 16)]);
  }
}

/** Whether a decoder of tokenizer.json is byte-level BPE's, in which every byte is a letter and nothing is unknown. */
export function isByteLevel(decoder: unknown): boolean {
  if (!isObject(decoder)) return false;
  return decoder.type === "ByteLevel" || (Array.isArray(decoder.decoders) && decoder.decoders.some(isByteLevel));
}

// GPT-2's alphabet: a byte that is a printable Latin-1 character is that character, the others are U+0100 and up in order.
const BYTE_OF_LETTER = new Map<string, number>();
for (let byte = 0, others = 0; byte < 256; byte++) {
  const isPrintable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte !== 0xad);
  BYTE_OF_LETTER.set(String.fromCharCode(isPrintable ? byte : 0x100 + others++), byte);
}
