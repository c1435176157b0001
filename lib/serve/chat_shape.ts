import type { TokenLogprob } from "../generate/request.js";
import type { Tokenizer } from "../text/tokenizer.js";
import { finiteLogprob, tokenText } from "./token_text.js";
import type { AnswerShape, Piece } from "./work.js";

/** Answers of POST /v1/chat/completions. */
export class ChatShape implements AnswerShape {
  readonly idPrefix = "chatcmpl-";
  readonly wholeObject = "chat.completion";
  readonly chunkObject = "chat.completion.chunk";

  constructor(private readonly tokenizer: Tokenizer) {}

  opening(index: number): object {
    return { index, delta: { role: "assistant", content: "" }, logprobs: null, finish_reason: null };
  }

  part(piece: Piece): object {
    const delta = piece.finish === null ? { content: piece.text } : {};
    return { index: piece.index, delta, logprobs: this.logprobs(piece), finish_reason: piece.finish };
  }

  whole(piece: Piece): object {
    const message = { role: "assistant", content: piece.text, refusal: null };
    return { index: piece.index, message, logprobs: this.logprobs(piece), finish_reason: piece.finish };
  }

  private logprobs({ tokens }: Piece): object | null {
    if (tokens.length === 0) return null;
    const tell = (token: Omit<TokenLogprob, "logprob"> & { readonly logprob: number | null }) => ({
      token: tokenText(token, this.tokenizer),
      logprob: finiteLogprob(token.logprob!),
      bytes: Array.from(token.bytes),
    });
    return { content: tokens.map((token) => ({ ...tell(token), top_logprobs: token.top!.map(tell) })), refusal: null };
  }
}
