import { isObject } from "../base/json.js";
import { type AddedToken, type TokenizerFiles, type TokenizerJson, tokenText } from "./tokenizer_files.js";

/**
 * tokenizer.json as transformers 5 reads it. Three things in tokenizer_config.json change what the file alone says:
 *
 * - `tokenizer_class: LlamaTokenizer` beside a llama model: only the vocabulary and the merges are taken. Text is cut
 *   into tokens by LlamaTokenizer's own rules: "▁" goes before the first word of the text and not after every special
 *   token, and a character that is neither in the vocabulary nor there as bytes is left out instead of becoming <unk>.
 * - `add_bos_token` or `add_eos_token`: they, not the file's post-processor, say what is put around a text.
 * - `added_tokens_decoder`: its entries take the place of the file's.
 */
export function asTransformersReads(files: TokenizerFiles): TokenizerJson {
  const { config } = files;
  const rebuilt = isRebuilt(files) ? llamaRules(files.json, config) : files.json;
  const json = { ...rebuilt, added_tokens: addedTokens(files) };
  return config.add_bos_token === undefined && config.add_eos_token === undefined
    ? json
    : { ...json, post_processor: bosEosTemplate(config, idsByContent(json)) };
}

function isRebuilt({ json, config, modelType }: TokenizerFiles): boolean {
  const name = config.tokenizer_class;
  const isLlama = name === "LlamaTokenizer" || name === "LlamaTokenizerFast";
  return isLlama && json.model.type === "BPE" && (modelType === undefined || modelType === "llama");
}

function llamaRules(json: TokenizerJson, config: TokenizerFiles["config"]): TokenizerJson {
  const addsSpace = config.add_prefix_space !== false;
  const everywhere = config.legacy === true;
  const decoders: unknown[] = [
    { type: "Replace", pattern: { String: "▁" }, content: " " },
    { type: "ByteFallback" },
    { type: "Fuse" },
  ];
  if (addsSpace) decoders.push({ type: "Strip", content: " ", start: 1, stop: 0 });
  return {
    ...json,
    normalizer: null,
    pre_tokenizer: {
      type: "Metaspace",
      replacement: "▁",
      prepend_scheme: addsSpace ? (everywhere ? "always" : "first") : "never",
      split: false,
    },
    model: {
      ...json.model,
      unk_token: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      dropout: null,
    },
    decoder: { type: "Sequence", decoders },
  };
}

function addedTokens({ json, config }: TokenizerFiles): AddedToken[] {
  const tokens = new Map(json.added_tokens.map((token) => [token.content, token]));
  const listed = isObject(config.added_tokens_decoder) ? config.added_tokens_decoder : {};
  for (const [id, token] of Object.entries(listed)) {
    if (!isObject(token) || typeof token.content !== "string") continue;
    const known = tokens.get(token.content);
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: true, special: false };
    tokens.set(token.content, { ...flags, ...(token as object), id: known?.id ?? Number(id), content: token.content });
  }
  const vocab = isObject(json.model.vocab) ? (json.model.vocab as Record<string, number>) : {};
  for (const key of ["bos_token", "eos_token", "unk_token", "pad_token"]) {
    const content = tokenText(config[key]);
    const id = content === undefined ? undefined : vocab[content];
    if (content === undefined || id === undefined || tokens.has(content)) continue;
    tokens.set(content, {
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    });
  }
  return [...tokens.values()].sort((a, b) => a.id - b.id);
}

function bosEosTemplate(config: TokenizerFiles["config"], ids: ReadonlyMap<string, number>): unknown {
  const single: unknown[] = [{ Sequence: { id: "A", type_id: 0 } }];
  const specials: Record<string, unknown> = {};
  const special = (key: string): unknown => {
    const token = tokenText(config[key]);
    const id = token === undefined ? undefined : ids.get(token);
    if (token === undefined || id === undefined) return undefined;
    specials[token] = { id: token, ids: [id], tokens: [token] };
    return { SpecialToken: { id: token, type_id: 0 } };
  };
  const bos = config.add_bos_token === true ? special("bos_token") : undefined;
  const eos = config.add_eos_token === true ? special("eos_token") : undefined;
  if (bos !== undefined) single.unshift(bos);
  if (eos !== undefined) single.push(eos);
  return { type: "TemplateProcessing", single, pair: [], special_tokens: specials };
}

function idsByContent(json: TokenizerJson): Map<string, number> {
  const vocab = json.model.vocab;
  const entries = isObject(vocab) ? (Object.entries(vocab) as [string, number][]) : [];
  return new Map([...entries, ...json.added_tokens.map(({ content, id }) => [content, id] as const)]);
}
