import { createHash } from "node:crypto";
import { DataError, type RowPlace } from "../base/errors.js";
import { toMessages, typeName } from "../data/messages.js";
import { showFields } from "../data/row.js";
import type { SourceRow } from "../data/source.js";
import type { Message } from "../text/chat_template.js";

/** A chat to answer. */
export interface FeedbackPrompt {
  /** Follows from what is said alone: the SHA-256 of the prompt's text, or of a longer chat's messages as JSON. */
  readonly key: string;
  /** The row's own name for it; else the key. */
  readonly promptId: string;
  /** Where the row says it is from. */
  readonly source: string | null;
  /** The last is the user's. */
  readonly messages: readonly Message[];
  readonly place: RowPlace;
}

/**
 * The prompt of a row: `messages` where the user's is the last, else `prompt` (text or messages), else `instruction`.
 * Throws DataError.
 */
export function toFeedbackPrompt({ source, index, fields }: SourceRow): FeedbackPrompt {
  const place = { source, index };
  const messages = messagesOf(fields, place);
  for (const [i, { role, content }] of messages.entries()) {
    if (role === "system" && i > 0)
      throw new DataError(place, `messages[${i}].role: system, expected it to be the first`);
    if (role === "user" && content.trim() === "") throw new DataError(place, "an empty prompt, expected text");
  }
  const key = createHash("sha256").update(textOf(messages)).digest("hex");
  const text = (value: unknown): string | null => (typeof value === "string" && value !== "" ? value : null);
  return { key, promptId: text(fields.prompt_id) ?? key, source: text(fields.source), messages, place };
}

/** Whether a prompt is a chat of several turns, or has a system message. */
export const isLonger = ({ messages }: Pick<FeedbackPrompt, "messages">): boolean => messages.length > 1;

function messagesOf(fields: SourceRow["fields"], place: RowPlace): readonly Message[] {
  const { messages, prompt, instruction } = fields;
  const isElsewhere = prompt != null || instruction != null;
  if (messages != null) {
    const found = toMessages(place, "messages", messages);
    if (found.at(-1)!.role === "user") return found;
    if (!isElsewhere) throw new DataError(place, `messages: the last is of ${found.at(-1)!.role}, expected the user's`);
  }
  if (Array.isArray(prompt)) {
    const found = toMessages(place, "prompt", prompt);
    if (found.at(-1)!.role === "user") return found;
    throw new DataError(place, `prompt: the last is of ${found.at(-1)!.role}, expected the user's`);
  }
  const [field, content] = prompt != null ? ["prompt", prompt] : ["instruction", instruction];
  if (typeof content === "string") return [{ role: "user", content }];
  if (content != null) throw new DataError(place, `${field}: ${typeName(content)}, expected text`);
  throw new DataError(place, `${showFields(fields)}; expected "messages", "prompt" or "instruction"`);
}

const textOf = (messages: readonly Message[]): string =>
  messages.length === 1
    ? messages[0]!.content
    : JSON.stringify(messages.map(({ role, content }) => ({ role, content })));
