import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ModelError } from "../base/errors.js";
import { writeFileAtomic } from "../base/files.js";
import { ByteFallbackDecoder, Pipeline, SequenceDecoder } from "./library.js";
import { type BpeModel, Merges } from "./merges.js";
import { asTransformersReads } from "./pipeline.js";
import { isByteLevel, Spelling } from "./spelling.js";
import { readTokenizerFiles, type TokenizerFiles, type TokenizerJson, tokenText } from "./tokenizer_files.js";

export interface TokenizerOptions {
  /** Another file than tokenizer.json. */
  readonly file?: string;
  /**
   * `transformers`: as transformers 5 loads the folder, which for some classes is not what tokenizer.json says (see
   * pipeline.ts). `file`: tokenizer.json and nothing else. Default: `transformers`, or `file` where `file` is given.
   */
  readonly rules?: "transformers" | "file";
}

/** A Hugging Face tokenizer: tokenizer.json, the special tokens around it and the chat templates beside it. */
export class Tokenizer {
  /** Number of ids: the largest id, added tokens included, plus one. */
  readonly vocabSize: number;
  readonly bosId?: number;
  readonly eosId?: number;
  readonly padId?: number;
  readonly unkId?: number;
  readonly bosToken?: string;
  readonly eosToken?: string;
  readonly padToken?: string;
  readonly unkToken?: string;
  /** The folder's own chat template: chat_template.jinja, else tokenizer_config.json's, else its one named "default". */
  readonly chatTemplate?: string;
  /** All of the folder's templates by name. */
  readonly chatTemplates: ReadonlyMap<string, string>;
  /** Paths of the files this tokenizer was read from. `saveTo` copies them under the names a model's folder needs. */
  readonly files: readonly string[];

  private readonly specialIds: ReadonlySet<number>;
  private readonly present: TokenizerFiles["present"];
  private readonly spelling: Spelling;
  private readonly omits: ((character: string) => boolean) | undefined;
  private readonly surfaces = new Map<number, Buffer>();
  private longest: number | undefined;

  private constructor(
    private readonly pipeline: Pipeline,
    files: TokenizerFiles,
    json: TokenizerJson,
  ) {
    const ids = pipeline.get_vocab();
    this.vocabSize = Math.max(...json.added_tokens.map(({ id }) => id + 1), largest(ids.values()) + 1);
    this.specialIds = new Set(json.added_tokens.filter(({ special }) => special).map(({ id }) => id));
    this.chatTemplates = files.chatTemplates;
    this.present = files.present;
    this.spelling = new Spelling(json);
    this.omits = omission(json);
    this.files = files.present.map(([path]) => path);

    const template = files.chatTemplates.get("default");
    if (template !== undefined) this.chatTemplate = template;
    const { bos_token, eos_token, pad_token, unk_token } = files.config;
    const known = (value: unknown): { token: string; id: number } | undefined => {
      const token = tokenText(value);
      const id = token === undefined ? undefined : pipeline.token_to_id(token);
      return token === undefined || id === undefined ? undefined : { token, id };
    };
    const [bos, eos, pad, unk] = [bos_token, eos_token, pad_token, unk_token].map(known);
    if (bos !== undefined) [this.bosToken, this.bosId] = [bos.token, bos.id];
    if (eos !== undefined) [this.eosToken, this.eosId] = [eos.token, eos.id];
    if (pad !== undefined) [this.padToken, this.padId] = [pad.token, pad.id];
    if (unk !== undefined) [this.unkToken, this.unkId] = [unk.token, unk.id];
  }

  /** Reads a model's folder. Throws FileError where a file is missing or no JSON, ModelError where it cannot be used. */
  static async load(folder: string, options: TokenizerOptions = {}): Promise<Tokenizer> {
    const files = await readTokenizerFiles(folder, options.file ?? "tokenizer.json");
    const rules = options.rules ?? (options.file === undefined ? "transformers" : "file");
    const json = rules === "transformers" ? asTransformersReads(files) : files.json;
    try {
      return new Tokenizer(buildPipeline(json, files.config), files, json);
    } catch (error) {
      throw new ModelError(files.path, `cannot be used as a tokenizer: ${(error as Error).message}`);
    }
  }

  /** Token ids of a text. With `addSpecialTokens` the post-processor puts its own around it, for many models BOS. */
  encode(text: string, options: { readonly addSpecialTokens?: boolean } = {}): Int32Array {
    const { ids } = this.pipeline.encode(text, { add_special_tokens: options.addSpecialTokens === true });
    return Int32Array.from(ids);
  }

  /** The text of token ids. Ids outside the vocabulary are left out. */
  decode(ids: ArrayLike<number>, options: { readonly skipSpecialTokens?: boolean } = {}): string {
    const skip = options.skipSpecialTokens === true;
    const kept = Array.from(ids).filter((id) => id < this.vocabSize && !(skip && this.specialIds.has(id)));
    return kept.length === 0 ? "" : this.pipeline.decode(kept, { skip_special_tokens: false });
  }

  /** The token of an id as the vocabulary spells it. */
  token(id: number): string | undefined {
    return this.pipeline.id_to_token(id);
  }

  /** The UTF-8 bytes a token stands for wherever it stands (a leading "▁" as a blank); empty for an unknown id. */
  bytesOf(id: number): Buffer {
    let bytes = this.surfaces.get(id);
    if (bytes === undefined) {
      bytes = this.spelling.bytesOf(this.pipeline.id_to_token(id) ?? "");
      this.surfaces.set(id, bytes);
    }
    return bytes;
  }

  /** The most UTF-8 bytes that a token stands for. */
  get longestToken(): number {
    this.longest ??= Array.from({ length: this.vocabSize }, (_, id) => this.bytesOf(id).length).reduce(maximum, 1);
    return this.longest;
  }

  /** What a token adds to the UTF-8 bytes of a text: nothing for a special token. */
  textBytesOf(id: number): Buffer {
    return this.specialIds.has(id) ? NOTHING : this.bytesOf(id);
  }

  /** Whether a character has no token, so that encoding leaves it out. */
  leavesOut(character: string): boolean {
    return this.omits?.(character === " " ? "▁" : character) === true;
  }

  /** The id of a token spelt as in the vocabulary. */
  idOf(token: string): number | undefined {
    return this.pipeline.token_to_id(token);
  }

  /** Copies the tokenizer beside a saved model; a template that was chosen for the run goes along as chat_template.jinja. */
  async saveTo(folder: string, options: { readonly chatTemplate?: string } = {}): Promise<void> {
    for (const [path, name] of this.present) await writeFileAtomic(join(folder, name), await readFile(path));
    if (options.chatTemplate !== undefined) {
      await writeFileAtomic(join(folder, "chat_template.jinja"), options.chatTemplate);
    }
  }
}

const NOTHING = Buffer.alloc(0);

const maximum = (a: number, b: number): number => Math.max(a, b);

function buildPipeline(json: TokenizerJson, config: TokenizerFiles["config"]): Pipeline {
  const isBpe = json.model.type === "BPE";
  const plain = isBpe && !json.model.end_of_word_suffix && !json.model.continuing_subword_prefix;
  const pipeline = new Pipeline(plain ? { ...json, model: { ...json.model, merges: [] } } : json, {
    ...config,
    additional_special_tokens: [],
    clean_up_tokenization_spaces: config.clean_up_tokenization_spaces === true,
  });
  if (plain) {
    // The library's own merge loop takes 10 us a token; this one takes about 1.
    const model = json.model as unknown as BpeModel;
    const merges = new Merges(model);
    const omits = omission(json);
    pipeline.model.bpe = (word) => merges.split(omits === undefined ? word : without(word, omits));
  }
  keepByteOrderMarks(pipeline.decoder);
  return pipeline;
}

// Without an unknown token a character that the vocabulary cannot spell is gone before any merge, so that its neighbours
// may merge with each other. Undefined for a vocabulary that loses nothing.
function omission({ model, decoder }: TokenizerJson): ((character: string) => boolean) | undefined {
  if (model.type !== "BPE" || model.unk_token != null || isByteLevel(decoder)) return undefined;
  const { vocab, byte_fallback } = model as unknown as BpeModel;
  const hasBytes = byte_fallback === true && Object.hasOwn(vocab, "<0x00>");
  return (character) =>
    !Object.hasOwn(vocab, character) &&
    !(hasBytes && byteTokens(character).every((token) => Object.hasOwn(vocab, token)));
}

function without(word: string, omits: (character: string) => boolean): string {
  const characters = Array.from(word);
  return characters.some(omits) ? characters.filter((character) => !omits(character)).join("") : word;
}

const byteTokens = (character: string): string[] =>
  Array.from(Buffer.from(character), (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);

/** U+FEFF made from byte tokens is text like any other; the library's decoder would drop it at the start of a run. */
function keepByteOrderMarks(decoder: unknown): void {
  if (decoder instanceof ByteFallbackDecoder) decoder.text_decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  if (decoder instanceof SequenceDecoder) decoder.decoders.forEach(keepByteOrderMarks);
}

function largest(values: Iterable<number>): number {
  let most = -1;
  for (const value of values) if (value > most) most = value;
  return most;
}
