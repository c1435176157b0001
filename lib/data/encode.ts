import { DataError, ModelError, type RowPlace } from "../base/errors.js";
import { assertPrefix, maskAssistant } from "../text/assistant_turns.js";
import { type ChatTemplate, type Message, TemplateError } from "../text/chat_template.js";
import type { Tokenizer } from "../text/tokenizer.js";
import type { SftRow } from "./row.js";

/** A row of token ids. Token i is learned, from the tokens before it, where `trainable[i]` is 1. */
export interface TokenSequence {
  readonly ids: Int32Array;
  readonly trainable: Uint8Array;
  readonly place: RowPlace;
}

/** A prompt and two answers, as token ids. */
export interface TokenPair {
  readonly prompt: Int32Array;
  readonly chosen: Int32Array;
  readonly rejected: Int32Array;
  readonly place: RowPlace;
}

export interface EncodeOptions {
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  /** Most tokens of a row; of a pair, of the prompt and one answer. Default: no limit. */
  readonly maxLength?: number | null | undefined;
  /** Which end of a longer row stays. Default `keep_start`. */
  readonly truncation?: "keep_start" | "keep_end" | undefined;
  /**
   * The alignment-handbook's auto_insert_empty_system_msg: a chat without a system message gets an empty one, if the
   * template has a place for it. Default false, as in TRL.
   */
  readonly insertEmptySystemMessage?: boolean | undefined;
}

export interface SftEncodeOptions extends EncodeOptions {
  /** Learn what the assistant says in a chat, and nothing else. Default false. */
  readonly assistantOnlyLoss?: boolean | undefined;
  /** Learn only the completion of a row that has a prompt beside one. Default true, as in TRL. */
  readonly completionOnlyLoss?: boolean | null | undefined;
}

/** What became of the rows. */
export interface EncodeCounts {
  /** Rows left out, because nothing to learn was left of them. */
  readonly dropped: number;
  /** Rows of which a part was cut off. */
  readonly truncated: number;
  /** Rows in which a token of the whole text reaches across the end of the prompt. */
  readonly straddled: number;
}

/**
 * Rows as tokens, by TRL's rules. A chat is rendered whole, without the tokenizer's special tokens, and learned whole
 * unless `assistantOnlyLoss` says otherwise; text that is not a chat gets EOS and the tokenizer's special tokens. Throws
 * DataError for a row that its template refuses, and where no row is left.
 */
export function encodeSft(
  rows: readonly SftRow[],
  options: SftEncodeOptions,
): EncodeCounts & { readonly sequences: TokenSequence[] } {
  const sequences: TokenSequence[] = [];
  let [truncated, straddled] = [0, 0];
  for (const row of rows) {
    const encoded = encodeSequence(row, options);
    if (encoded.sequence === undefined) continue;
    if (encoded.isTruncated) truncated++;
    if (encoded.straddles) straddled++;
    sequences.push(encoded.sequence);
  }
  if (rows.length > 0 && sequences.length === 0) throw nothingToLearn(rows[0]!.place, options);
  return { sequences, dropped: rows.length - sequences.length, truncated, straddled };
}

/** One row of `encodeSft`; no sequence where nothing to learn is left of it. */
export function encodeSequence(
  row: SftRow,
  options: SftEncodeOptions,
): { readonly sequence?: TokenSequence; readonly isTruncated: boolean; readonly straddles: boolean } {
  const whole = atPlace(row.place, () => encodeSftRow(row, options));
  const cut = truncate(whole, options);
  const facts = { isTruncated: cut.ids.length < whole.ids.length, straddles: whole.straddles };
  return hasLabel(cut) ? { ...facts, sequence: { ...cut, place: row.place } } : facts;
}

export function nothingToLearn(first: RowPlace, { maxLength }: EncodeOptions): DataError {
  const limit = maxLength == null ? "" : ` within max_length ${maxLength}`;
  return new DataError(first, `this and every other row has nothing to learn${limit}`);
}

/** Whether there is something to learn: the first token does not count, since none comes before it to predict it. */
export const hasLabel = ({ trainable }: Pick<TokenSequence, "trainable">): boolean => trainable.includes(1, 1);

interface Encoded {
  readonly ids: Int32Array;
  readonly trainable: Uint8Array;
  readonly straddles: boolean;
}

function encodeSftRow(row: SftRow, options: SftEncodeOptions): Encoded {
  const { tokenizer, template } = options;
  if ("messages" in row) {
    const messages = withSystem(row.messages, options);
    if (options.assistantOnlyLoss === true) {
      const { ids, mask } = maskAssistant(tokenizer, template, messages);
      return { ids, trainable: mask, straddles: false };
    }
    return allOf(tokenizer.encode(template.render(messages)));
  }
  if ("text" in row) return allOf(tokenizer.encode(withEos(row.text, tokenizer), { addSpecialTokens: true }));

  const { prompt, whole } = encodeAnswer(row.prompt, row.completion, options);
  const straddles = commonPrefix(prompt, whole) < prompt.length;
  if (options.completionOnlyLoss === false) return { ...allOf(whole), straddles };
  return { ids: whole, trainable: new Uint8Array(whole.length).fill(1, prompt.length), straddles };
}

const allOf = (ids: Int32Array): Encoded => ({ ids, trainable: new Uint8Array(ids.length).fill(1), straddles: false });

function truncate({ ids, trainable }: Encoded, options: EncodeOptions): { ids: Int32Array; trainable: Uint8Array } {
  const length = options.maxLength ?? ids.length;
  const begin = options.truncation === "keep_end" ? Math.max(0, ids.length - length) : 0;
  return { ids: ids.slice(begin, begin + length), trainable: trainable.slice(begin, begin + length) };
}

/** The prompt by itself, and the prompt with its answer; of messages the prompt ends with the generation prompt. */
export function encodeAnswer(
  prompt: readonly Message[] | string,
  answer: readonly Message[] | string,
  options: EncodeOptions,
): { readonly prompt: Int32Array; readonly whole: Int32Array } {
  const { tokenizer, template } = options;
  if (typeof prompt === "string" || typeof answer === "string") {
    const encode = (text: string): Int32Array => tokenizer.encode(text, { addSpecialTokens: true });
    return { prompt: encode(prompt as string), whole: encode(withEos(`${prompt}${answer}`, tokenizer)) };
  }
  const messages = withSystem(prompt, options);
  const opening = template.render(messages, { addGenerationPrompt: true });
  const whole = template.render([...messages, ...answer]);
  assertPrefix(opening, whole);
  return { prompt: tokenizer.encode(opening), whole: tokenizer.encode(whole) };
}

/** How many ids two rows begin with in common. */
export function commonPrefix(a: Int32Array, b: Int32Array): number {
  let same = 0;
  while (same < a.length && same < b.length && a[same] === b[same]) same++;
  return same;
}

/** Does `work`, and says at which row it was that a template refused. */
export function atPlace<T>(place: RowPlace, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof TemplateError) throw new DataError(place, error.message);
    throw error;
  }
}

function withSystem(messages: readonly Message[], options: EncodeOptions): readonly Message[] {
  const inserts = options.insertEmptySystemMessage === true && options.template.knowsSystem;
  return inserts && messages[0]?.role !== "system" ? [{ role: "system", content: "" }, ...messages] : messages;
}

function withEos(text: string, tokenizer: Tokenizer): string {
  const eos = tokenizer.eosToken;
  if (eos === undefined) throw new ModelError("tokenizer", "has no eos_token, expected one to end plain text with");
  return text.endsWith(eos) ? text : text + eos;
}
