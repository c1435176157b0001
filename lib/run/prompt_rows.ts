import { isUtf8 } from "node:buffer";
import { readFile } from "node:fs/promises";

import { DataError, FileError, type RowPlace, WestwindError } from "../base/errors.js";
import { toMessages, typeName } from "../data/messages.js";
import { showFields } from "../data/row.js";
import { readRows, type SourceRow } from "../data/source.js";
import type { TextModel } from "../generate/text_model.js";
import { type HubOptions, resolveDataset } from "../hub/resolve.js";
import type { Message } from "../text/chat_template.js";

/** A row to answer: a user's words, or the chat before the answer. */
export interface PromptRow {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly prompt: string | readonly Message[];
  readonly place: RowPlace;
}

export interface PromptOptions {
  /** What the system says before a prompt, and before messages in which it says nothing. */
  readonly system?: string | undefined;
  /** Continue the text as it is rather than answer it as a chat. */
  readonly raw?: boolean | undefined;
}

/**
 * The rows of a .txt file, a prompt a line, or of a file of rows, of the training split of a folder, or of a data set of the
 * hub, with `prompt` (text) or `messages`. Blank lines are passed over. Throws FileError, HubError, and DataError for the
 * first row that cannot be used.
 */
export async function readPromptRows(
  nameOrPath: string,
  options: PromptOptions = {},
  hub: HubOptions = {},
): Promise<PromptRow[]> {
  const path = await resolveDataset(nameOrPath, { ...hub, splits: ["train"] });
  const rows: PromptRow[] = [];
  for await (const row of path.endsWith(".txt") ? readLines(path) : readRows(path))
    rows.push(toPromptRow(row, options));
  return rows;
}

async function* readLines(source: string): AsyncGenerator<SourceRow> {
  const bytes = await readFile(source).catch((cause) => {
    throw new FileError(source, cause.code === "ENOENT" ? "no such file" : cause.message, { cause });
  });
  const lines = bytes
    .toString()
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/);
  if (!isUtf8(bytes))
    throw new DataError({ source, index: lines.findIndex((line) => line.includes("\uFFFD")) }, NO_TEXT);
  if (lines.every((line) => line.trim() === "")) throw new FileError(source, "holds no rows, expected at least one");
  for (const [index, prompt] of lines.entries()) {
    if (prompt.trim() !== "") yield { source, index, fields: { prompt } };
  }
}

const NO_TEXT = "is not UTF-8 text, expected a prompt";

function toPromptRow({ source, index, fields }: SourceRow, { raw }: PromptOptions): PromptRow {
  const place = { source, index };
  if (fields.messages == null) {
    if (typeof fields.prompt === "string") return { fields, prompt: fields.prompt, place };
    if (fields.prompt != null) throw new DataError(place, `prompt: ${typeName(fields.prompt)}, expected text`);
    throw new DataError(place, `${showFields(fields)}; expected "prompt" or "messages"`);
  }
  if (fields.prompt != null) throw new DataError(place, `both "prompt" and "messages", expected one of them`);
  if (raw) throw new DataError(place, `messages: cannot be continued as they are, expected "prompt"`);
  const prompt = toMessages(place, "messages", fields.messages);
  if (prompt.at(-1)!.role === "assistant") {
    throw new DataError(place, "messages: the assistant's is the last, expected one that is to be answered");
  }
  return { fields, prompt, place };
}

/** The tokens of a row. Throws DataError for one that the template refuses, or that leaves no room for an answer. */
export function encodePromptRow({ prompt, place }: PromptRow, model: TextModel, options: PromptOptions): Int32Array {
  let ids: Int32Array;
  try {
    ids = encodePrompt(prompt, model, options);
  } catch (error) {
    throw error instanceof WestwindError ? new DataError(place, error.message) : error;
  }
  if (ids.length > 0 && ids.length < model.engine.maxTokens) return ids;
  const expected = ids.length === 0 ? "at least one" : `fewer than the ${model.engine.maxTokens} there is room for`;
  throw new DataError(place, `${ids.length} tokens, expected ${expected}`);
}

/** The tokens of a prompt up to where its answer begins. Throws TemplateError. */
export function encodePrompt(
  prompt: string | readonly Message[],
  { tokenizer, template }: TextModel,
  { system, raw }: PromptOptions,
): Int32Array {
  if (raw && typeof prompt === "string") return tokenizer.encode(prompt, { addSpecialTokens: true });
  const messages = typeof prompt === "string" ? [{ role: "user", content: prompt }] : prompt;
  const withSystem =
    system === undefined || messages[0]!.role === "system"
      ? messages
      : [{ role: "system", content: system }, ...messages];
  return tokenizer.encode(template.render(withSystem, { addGenerationPrompt: true }));
}
