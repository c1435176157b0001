import type { Tokenizer } from "../text/tokenizer.js";
import { finiteLogprob, tokenText } from "./token_text.js";
import type { AnswerShape, Piece, ToldToken } from "./work.js";

/** Answers of POST /v1/completions. One instance answers one request, since it counts the characters of each choice. */
export class CompletionShape implements AnswerShape {
  readonly idPrefix = "cmpl-";
  readonly wholeObject = "text_completion";
  readonly chunkObject = "text_completion";
  private readonly offsets = new Map<number, Offset>();

  constructor(private readonly tokenizer: Tokenizer) {}

  opening(): undefined {
    return undefined;
  }

  part(piece: Piece): object {
    const { index, text, finish } = piece;
    return { index, text, logprobs: this.logprobs(piece), finish_reason: finish };
  }

  whole(piece: Piece): object {
    return this.part(piece);
  }

  private logprobs({ index, tokens }: Piece): object | null {
    if (tokens.length === 0) return null;
    const offset = this.offsets.get(index) ?? new Offset();
    this.offsets.set(index, offset);
    return {
      tokens: tokens.map((token) => tokenText(token, this.tokenizer)),
      token_logprobs: tokens.map(({ logprob }) => logprob && finiteLogprob(logprob)),
      top_logprobs: tokens.map((token) => this.likeliest(token)),
      text_offset: tokens.map(({ bytes }) => offset.passing(bytes)),
    };
  }

  /** The likeliest tokens and the one that is there. Of several with one text the likeliest counts. */
  private likeliest(token: ToldToken): Record<string, number> | null {
    if (token.logprob === null || token.top === null) return null;
    const all = [...token.top, { ...token, logprob: token.logprob }].sort((a, b) => a.logprob - b.logprob);
    return Object.fromEntries(all.map((each) => [tokenText(each, this.tokenizer), finiteLogprob(each.logprob)]));
  }
}

/** Where in a choice's text its tokens begin, in Unicode characters. */
class Offset {
  private readonly decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  private at = 0;

  passing(bytes: Uint8Array): number {
    const before = this.at;
    for (const _ of this.decoder.decode(bytes, { stream: true })) this.at++;
    return before;
  }
}
