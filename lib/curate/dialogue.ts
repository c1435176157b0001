import { DataError } from "../base/errors.js";
import { typeName } from "../data/messages.js";
import { toSftRow } from "../data/row.js";
import type { SourceRow } from "../data/source.js";
import type { Message } from "../text/chat_template.js";
import type { Drop } from "./drops.js";

/** A chat that begins with the user, or with the system and the user, and ends with the assistant. */
export interface Dialogue {
  readonly messages: readonly Message[];
  /** What the user says first. */
  readonly prompt: string;
  readonly source: string | undefined;
  /** Whether a last turn of the user, which nobody answers, was cut off. */
  readonly isCut: boolean;
}

export const isDrop = (outcome: Dialogue | Drop): outcome is Drop => "reason" in outcome;

/**
 * The dialogue of a row: UltraChat's `data` (texts of user and assistant by turns), `messages` or `conversations`, or text
 * as `prompt` with `completion`. A row that holds none, or one that cannot be learned from, is a drop.
 */
export function toDialogue(row: SourceRow): Dialogue | Drop {
  const source = typeof row.fields.source === "string" ? row.fields.source : undefined;
  let messages: readonly Message[] | string;
  try {
    messages = turnsOf(row);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return drop("noDialogue", error.fact);
  }
  if (typeof messages === "string") return drop("noDialogue", "text alone, expected turns");
  const empty = messages.findIndex(({ content }) => content.trim() === "");
  if (empty >= 0)
    return drop("emptyTurn", `turn ${empty + 1}: ${JSON.stringify(messages[empty]!.content)}, expected text`);
  const first = messages[0]?.role === "system" ? 1 : 0;
  for (let i = first; i < messages.length; i++) {
    const expected = (i - first) % 2 === 0 ? "user" : "assistant";
    const { role } = messages[i]!;
    if (role !== expected) return drop("brokenOrder", `turn ${i + 1}: ${role}, expected ${expected}`);
  }
  const isCut = messages.length > first && messages.at(-1)!.role === "user";
  const answered = isCut ? messages.slice(0, -1) : messages;
  if (answered.length < first + 2)
    return drop("noAnswer", `${messages.length} turns, expected a question and an answer`);
  return { messages: answered, prompt: answered[first]!.content, source, isCut };
}

/** Whether a row is UltraChat's: has `data`, which is something else beside messages. */
export const isUltraChat = ({ data, messages, conversations }: SourceRow["fields"]): boolean =>
  data != null && messages == null && conversations == null;

/** The turns of a row, whatever their order, or its text where that is all it has. Throws DataError where it has neither. */
export function turnsOf(row: SourceRow): readonly Message[] | string {
  if (isUltraChat(row.fields)) {
    const { data } = row.fields;
    if (!Array.isArray(data)) throw new DataError(row, `data: ${typeName(data)}, expected a list of texts`);
    return data.map((content, i): Message => {
      if (typeof content !== "string") throw new DataError(row, `data[${i}]: ${typeName(content)}, expected text`);
      return { role: i % 2 === 0 ? "user" : "assistant", content };
    });
  }
  const found = toSftRow(row);
  if ("messages" in found) return found.messages;
  if ("text" in found) return found.text;
  const turns = (part: readonly Message[] | string, role: string): readonly Message[] =>
    typeof part === "string" ? [{ role, content: part }] : part;
  return [...turns(found.prompt, "user"), ...turns(found.completion, "assistant")];
}

const drop = (reason: Drop["reason"], detail: string): Drop => ({ step: "shape", reason, detail });
