import { DataError, type RowPlace } from "../base/errors.js";
import type { Message } from "../text/chat_template.js";
import { sameMessage, toMessages, typeName } from "./messages.js";
import type { SourceRow } from "./source.js";

/** A chat to learn from. */
export interface Conversation {
  readonly messages: readonly Message[];
  readonly place: RowPlace;
}

/** A prompt and what is to follow it: both messages, or both text. */
export interface Completion {
  readonly prompt: readonly Message[] | string;
  readonly completion: readonly Message[] | string;
  readonly place: RowPlace;
}

/** A prompt with a better and a worse answer: all messages, or all text. */
export interface PreferencePair {
  readonly prompt: readonly Message[] | string;
  readonly chosen: readonly Message[] | string;
  readonly rejected: readonly Message[] | string;
  readonly place: RowPlace;
}

export interface PlainText {
  readonly text: string;
  readonly place: RowPlace;
}

export type SftRow = Conversation | Completion | PlainText;

/**
 * A row for supervised fine-tuning: `messages` (or ShareGPT's `conversations`), `prompt` with `completion`, or text in
 * `textField`, looked for in this order. Throws DataError.
 */
export function toSftRow(row: SourceRow, options: { readonly textField?: string } = {}): SftRow {
  const { fields } = row;
  const place = placeOf(row);
  const textField = options.textField ?? "text";
  for (const field of ["messages", "conversations"]) {
    if (fields[field] != null) return { messages: toMessages(place, field, fields[field]), place };
  }
  if (fields.completion != null) {
    const { prompt, completion } = sameKind(place, fields, ["prompt", "completion"]);
    return { prompt: prompt!, completion: completion!, place };
  }
  const text = fields[textField];
  if (typeof text === "string") return { text, place };
  if (text != null) throw new DataError(place, `${textField}: ${typeName(text)}, expected text`);
  throw new DataError(
    place,
    `${showFields(fields)}; expected "messages", "prompt" with "completion", or "${textField}"`,
  );
}

/**
 * A row for preference optimisation: `chosen` and `rejected` with or without `prompt`.
 *
 * - Without: what both begin with is the prompt. Of lists the messages, of text the characters, less a blank at the end.
 * - A prompt text beside lists of several messages repeats their beginning (ultrafeedback_binarized): the prompt is all
 *   but the last message. Beside lists of one message it is a user's message.
 * - A prompt list that `chosen` and `rejected` both begin with is taken off them.
 *
 * Throws DataError, also where the answers leave no prompt or belong to different ones.
 */
export function toPreferencePair(row: SourceRow): PreferencePair {
  const { fields } = row;
  const place = placeOf(row);
  for (const field of ["chosen", "rejected"]) {
    if (fields[field] == null) throw new DataError(place, `${showFields(fields)}; expected "chosen" and "rejected"`);
  }
  if (fields.prompt == null) return withImplicitPrompt(place, sameKind(place, fields, ["chosen", "rejected"]));
  if (typeof fields.prompt === "string" && Array.isArray(fields.chosen)) {
    return besidePromptText(place, fields.prompt, sameKind(place, fields, ["chosen", "rejected"]));
  }
  const { prompt, chosen, rejected } = sameKind(place, fields, ["prompt", "chosen", "rejected"]);
  const repeats =
    isList(prompt!) && [chosen!, rejected!].every((answer) => isList(answer) && beginsWith(answer, prompt));
  const answerOf = (whole: readonly Message[] | string) => (repeats ? whole.slice(prompt!.length) : whole);
  return { prompt: prompt!, chosen: answerOf(chosen!), rejected: answerOf(rejected!), place };
}

type Sided = Readonly<Record<string, readonly Message[] | string>>;

function withImplicitPrompt(place: RowPlace, { chosen, rejected }: Sided): PreferencePair {
  if (isList(chosen!) && isList(rejected!)) {
    const most = Math.min(chosen.length, rejected.length) - 1; // an answer is at least one message
    let same = 0;
    while (same < most && sameMessage(chosen[same], rejected[same])) same++;
    if (same === 0)
      throw new DataError(place, "chosen and rejected begin with different messages, expected one prompt");
    return { prompt: chosen.slice(0, same), chosen: chosen.slice(same), rejected: rejected.slice(same), place };
  }
  const [better, worse] = [chosen as string, rejected as string];
  const most = Math.min(better.length, worse.length) - 1;
  let same = 0;
  while (same < most && better[same] === worse[same]) same++;
  if (/[\uD800-\uDBFF]$/.test(better.slice(0, same))) same--; // not through the middle of a character
  if (better[same - 1] === " ") same--; // a blank belongs to the word after it
  if (same <= 0) throw new DataError(place, "chosen and rejected begin with different text, expected one prompt");
  return { prompt: better.slice(0, same), chosen: better.slice(same), rejected: worse.slice(same), place };
}

function besidePromptText(place: RowPlace, prompt: string, { chosen, rejected }: Sided): PreferencePair {
  const [better, worse] = [chosen as readonly Message[], rejected as readonly Message[]];
  if (better.length === 1 && worse.length === 1) {
    return { prompt: [{ role: "user", content: prompt }], chosen: better, rejected: worse, place };
  }
  if (better.length !== worse.length || !beginsWith(worse, better.slice(0, -1))) {
    throw new DataError(place, "chosen and rejected have different prompts, expected all but their last message equal");
  }
  return { prompt: better.slice(0, -1), chosen: better.slice(-1), rejected: worse.slice(-1), place };
}

/** Reads fields that must be all text or all messages. */
function sameKind(place: RowPlace, fields: SourceRow["fields"], names: readonly string[]): Sided {
  const texts = names.filter((name) => typeof fields[name] === "string");
  if (texts.length === names.length) return fields as Sided;
  if (texts.length > 0) {
    const others = names.filter((name) => !texts.includes(name));
    const kinds = others.map((name) => `${name} is ${typeName(fields[name])}`).join(", ");
    throw new DataError(place, `${texts.join(" and ")} text, but ${kinds}; expected all text or all lists of messages`);
  }
  return Object.fromEntries(names.map((name) => [name, toMessages(place, name, fields[name])]));
}

const isList = (value: readonly Message[] | string): value is readonly Message[] => typeof value !== "string";

const beginsWith = (whole: readonly Message[], part: readonly Message[]): boolean =>
  whole.length > part.length && part.every((message, i) => sameMessage(message, whole[i]));

const placeOf = ({ source, index }: SourceRow): RowPlace => ({ source, index });

/** The fields that a row has, for an error that misses others. */
export function showFields(fields: SourceRow["fields"]): string {
  const names = Object.keys(fields).filter((name) => fields[name] != null);
  return names.length === 0 ? "no fields" : `found ${names.map((name) => JSON.stringify(name)).join(", ")}`;
}
