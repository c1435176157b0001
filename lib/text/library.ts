import * as library from "@huggingface/tokenizers";

// The package's declarations import files without an extension, which TypeScript's nodenext resolution does not follow.
// This is the part of them that westwind uses.

export interface Pipeline {
  readonly model: { bpe(word: string): string[] };
  readonly decoder: unknown;
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
  decode(ids: number[], options: { skip_special_tokens: boolean }): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
  get_vocab(): Map<string, number>;
}

interface Library {
  readonly Tokenizer: new (json: object, config: object) => Pipeline;
  readonly ByteFallbackDecoder: new (config: object) => { text_decoder: InstanceType<typeof TextDecoder> };
  readonly SequenceDecoder: new (config: object) => { readonly decoders: readonly unknown[] };
}

export const { Tokenizer: Pipeline, ByteFallbackDecoder, SequenceDecoder } = library as unknown as Library;
