import { readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { FileError, ModelError } from "../base/errors.js";
import { isObject } from "../base/json.js";

/** An entry of `added_tokens` in tokenizer.json. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly single_word: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  readonly normalized: boolean;
  readonly special: boolean;
}

type Json = Readonly<Record<string, unknown>>;

/** tokenizer.json, as far as westwind looks into it; everything else is handed on as it is. */
export interface TokenizerJson extends Json {
  readonly model: Json;
  readonly added_tokens: readonly AddedToken[];
  readonly normalizer: unknown;
  readonly pre_tokenizer: unknown;
  readonly post_processor: unknown;
  readonly decoder: unknown;
}

/** The files of a tokenizer's folder, read and checked for shape. */
export interface TokenizerFiles {
  readonly path: string;
  readonly json: TokenizerJson;
  /** tokenizer_config.json, with special_tokens_map.json where the config does not say. */
  readonly config: Json;
  /** `model_type` of config.json, if there is one. */
  readonly modelType: string | undefined;
  readonly chatTemplates: ReadonlyMap<string, string>;
  /** Every file that was there, as [path, name beside a saved model]. */
  readonly present: readonly (readonly [path: string, name: string])[];
}

const SPECIAL_KEYS = ["bos_token", "eos_token", "unk_token", "pad_token"] as const;

/** Reads a tokenizer's folder; `file` names another tokenizer.json in it. Throws FileError or ModelError. */
export async function readTokenizerFiles(folder: string, file: string): Promise<TokenizerFiles> {
  const path = join(folder, file);
  const json = await readJson(path);
  if (json === undefined) throw await missing(folder, path);
  checkModel(path, json.model);

  const side = (name: string): string => join(folder, name);
  const config = (await readJson(side("tokenizer_config.json"))) ?? {};
  const special = (await readJson(side("special_tokens_map.json"))) ?? {};
  const modelConfig = await readJson(side("config.json"));
  const jinja = await readText(side("chat_template.jinja"));
  const added = await readText(side("added_tokens.json"));
  const sentencepiece = await readBytes(side("tokenizer.model"));

  const present: [string, string][] = [[path, "tokenizer.json"]];
  if (Object.keys(config).length > 0) present.push([side("tokenizer_config.json"), "tokenizer_config.json"]);
  if (Object.keys(special).length > 0) present.push([side("special_tokens_map.json"), "special_tokens_map.json"]);
  if (added !== undefined) present.push([side("added_tokens.json"), "added_tokens.json"]);
  if (sentencepiece !== undefined) present.push([side("tokenizer.model"), "tokenizer.model"]);
  if (jinja !== undefined) present.push([side("chat_template.jinja"), "chat_template.jinja"]);

  return {
    path,
    json: withDefaults(json, path),
    config: mergeSpecialTokens(config, special),
    modelType: typeof modelConfig?.model_type === "string" ? modelConfig.model_type : undefined,
    chatTemplates: chatTemplatesOf(config, jinja),
    present,
  };
}

async function missing(folder: string, path: string): Promise<FileError> {
  const found = await stat(folder).catch(() => undefined);
  if (found?.isDirectory()) return new FileError(path, "is missing, expected the file of a Hugging Face tokenizer");
  return new FileError(folder, `${found ? "is a file" : "is missing"}, expected a folder in Hugging Face's layout`);
}

function checkModel(path: string, model: unknown): void {
  if (!isObject(model))
    throw new ModelError(path, 'model: missing, expected {"type": "BPE", "vocab": ..., "merges": ...}');
  if (!["BPE", "Unigram", "WordPiece"].includes(String(model.type))) {
    throw new ModelError(path, `model.type: ${JSON.stringify(model.type)}, expected BPE, Unigram or WordPiece`);
  }
  if (model.type === "BPE" && !(isObject(model.vocab) && Array.isArray(model.merges))) {
    throw new ModelError(path, "model: expected vocab, an object of ids, and merges, a list");
  }
}

/** A special token's text: files hold it as a string or as an AddedToken object, and null means there is none. */
export function tokenText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (isObject(value) && typeof value.content === "string") return value.content;
  return undefined;
}

// transformers reads special_tokens_map.json only where tokenizer_config.json does not list the added tokens, and then
// lets it win. Where it is not read it may still name a token that the config leaves out, and that costs nothing.
function mergeSpecialTokens(config: Json, special: Json): Json {
  const merged: Record<string, unknown> = { ...config };
  const wins = config.added_tokens_decoder === undefined;
  for (const key of SPECIAL_KEYS) {
    if (special[key] !== undefined && (wins || !(key in config))) merged[key] = special[key];
  }
  return merged;
}

function chatTemplatesOf(config: Json, jinja: string | undefined): Map<string, string> {
  const templates = new Map<string, string>();
  const own = config.chat_template;
  if (typeof own === "string") templates.set("default", own);
  if (Array.isArray(own)) {
    for (const entry of own) {
      if (isObject(entry) && typeof entry.name === "string" && typeof entry.template === "string") {
        templates.set(entry.name, entry.template);
      }
    }
  }
  if (jinja !== undefined) templates.set("default", jinja);
  return templates;
}

function withDefaults(json: Json, path: string): TokenizerJson {
  const added = json.added_tokens ?? [];
  if (!Array.isArray(added) || !added.every((token) => isObject(token) && Number.isInteger(token.id))) {
    throw new ModelError(path, "added_tokens: expected a list of tokens with id and content");
  }
  return {
    ...json,
    model: json.model as Json,
    added_tokens: added as AddedToken[],
    normalizer: json.normalizer ?? null,
    pre_tokenizer: json.pre_tokenizer ?? null,
    post_processor: json.post_processor ?? null,
    decoder: json.decoder ?? null,
  };
}

async function readJson(path: string): Promise<Json | undefined> {
  const text = await readText(path);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new FileError(path, `is not JSON: ${(error as Error).message}`, { cause: error });
  }
  if (!isObject(value)) throw new FileError(path, `holds no JSON object, expected ${basename(path)} of a tokenizer`);
  return value;
}

const readText = async (path: string): Promise<string | undefined> => (await readBytes(path))?.toString("utf8");

async function readBytes(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new FileError(path, message, { cause: error });
  }
}
