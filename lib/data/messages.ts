import { DataError, type RowPlace } from "../base/errors.js";
import type { Message } from "../text/chat_template.js";

// ShareGPT's names for the speakers.
const ROLES: ReadonlyMap<string, string> = new Map([
  ["human", "user"],
  ["gpt", "assistant"],
  ["bot", "assistant"],
  ["chatgpt", "assistant"],
]);

/**
 * Messages of a field: a list of objects with `role` and `content` (or `from` and `value`), both text. Content may be a
 * list of text parts, which are joined. Throws DataError naming the field and message.
 */
export function toMessages(place: RowPlace, field: string, value: unknown): Message[] {
  if (!Array.isArray(value)) throw new DataError(place, `${field}: ${typeName(value)}, expected a list of messages`);
  if (value.length === 0) throw new DataError(place, `${field}: an empty list, expected at least one message`);
  return value.map((message, i) => toMessage(place, `${field}[${i}]`, message));
}

function toMessage(place: RowPlace, field: string, value: unknown): Message {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new DataError(place, `${field}: ${typeName(value)}, expected an object with role and content`);
  }
  const fields = value as Record<string, unknown>;
  const shared = fields.role === undefined && fields.from !== undefined;
  const role = shared ? fields.from : fields.role;
  if (typeof role !== "string") throw new DataError(place, `${field}.role: ${typeName(role)}, expected text`);
  const content = textOf(shared ? fields.value : fields.content);
  if (content === undefined) {
    throw new DataError(place, `${field}.content: ${typeName(shared ? fields.value : fields.content)}, expected text`);
  }
  return { role: shared ? (ROLES.get(role) ?? role) : role, content };
}

function textOf(content: unknown): string | undefined {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return undefined;
  const parts = content.map((part: unknown) =>
    typeof part === "object" && part !== null && (part as Record<string, unknown>).type === "text"
      ? (part as Record<string, unknown>).text
      : undefined,
  );
  return parts.every((part): part is string => typeof part === "string") ? parts.join("") : undefined;
}

export const sameMessage = (a: Message | undefined, b: Message | undefined): boolean =>
  a !== undefined && b !== undefined && a.role === b.role && a.content === b.content;

export function typeName(value: unknown): string {
  if (value === undefined) return "missing";
  if (value === null) return "null";
  if (typeof value === "object") return Array.isArray(value) ? "a list" : "an object";
  return typeof value === "string" ? "text" : `a ${typeof value}`;
}
