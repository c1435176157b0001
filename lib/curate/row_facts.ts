import { DataError } from "../base/errors.js";
import { isObject } from "../base/json.js";
import { typeName } from "../data/messages.js";
import { toPreferencePair } from "../data/row.js";
import type { SourceRow } from "../data/source.js";
import type { Message } from "../text/chat_template.js";
import { turnsOf } from "./dialogue.js";

export type RowKind = "dialogue" | "pair" | "feedback" | "text";

/** What statistics look at of a row. */
export interface RowFacts {
  readonly kind: RowKind;
  readonly source: string | undefined;
  /** Who speaks, message by message: of a pair in its prompt and the chosen answer, of feedback nobody. */
  readonly roles: readonly string[];
  /** What the user says first; empty where nobody asks. */
  readonly prompt: string;
  /** Texts by what they are; those of a part count one by one. */
  readonly parts: Readonly<Record<string, readonly string[]>>;
}

/** Reads a row of any kind that westwind takes. Throws DataError. */
export function factsOf(row: SourceRow): RowFacts {
  const { fields } = row;
  const source = typeof fields.source === "string" ? fields.source : undefined;
  if (fields.chosen != null || fields.rejected != null) return { source, ...pairFacts(row) };
  if (fields.completions != null) return { source, ...feedbackFacts(row) };
  const messages = turnsOf(row);
  if (typeof messages === "string") {
    return { kind: "text", source, roles: [], prompt: "", parts: { text: [messages] } };
  }
  const answers = messages.filter(({ role }) => role === "assistant").map(({ content }) => content);
  const prompt = firstOfUser(messages);
  return { kind: "dialogue", source, roles: rolesOf(messages), prompt, parts: { prompt: [prompt], answer: answers } };
}

function pairFacts(row: SourceRow): Omit<RowFacts, "source"> {
  const { prompt, chosen, rejected } = toPreferencePair(row);
  const parts = { prompt: [textOf(prompt)], chosen: [textOf(chosen)], rejected: [textOf(rejected)] };
  if (typeof prompt === "string") return { kind: "pair", roles: [], prompt, parts };
  const messages = [...prompt, ...(chosen as readonly Message[])];
  return { kind: "pair", roles: rolesOf(messages), prompt: firstOfUser(messages), parts };
}

function feedbackFacts(row: SourceRow): Omit<RowFacts, "source"> {
  const { instruction, completions } = row.fields;
  if (typeof instruction !== "string") throw new DataError(row, `instruction: ${typeName(instruction)}, expected text`);
  if (!Array.isArray(completions)) throw new DataError(row, `completions: ${typeName(completions)}, expected a list`);
  const responses = completions.map((completion: unknown, i) => {
    const response = isObject(completion) ? completion.response : undefined;
    if (typeof response === "string") return response;
    throw new DataError(row, `completions[${i}].response: ${typeName(response)}, expected text`);
  });
  return { kind: "feedback", roles: [], prompt: instruction, parts: { prompt: [instruction], completion: responses } };
}

const rolesOf = (messages: readonly Message[]): string[] => messages.map(({ role }) => role);

const firstOfUser = (messages: readonly Message[]): string =>
  messages.find(({ role }) => role === "user")?.content ?? "";

const textOf = (part: readonly Message[] | string): string =>
  typeof part === "string" ? part : part.map(({ content }) => content).join("\n");
