import type { ChatTemplate, Message, Span } from "./chat_template.js";
import { type TokenOffsets, tokenOffsets } from "./offsets.js";
import { TemplateError } from "./template_error.js";
import type { Tokenizer } from "./tokenizer.js";

/** A chat as tokens, 1 in `mask` for every token that has a part of what the assistant is to learn in it. */
export interface MaskedChat {
  readonly ids: Int32Array;
  readonly mask: Uint8Array;
}

/**
 * Renders and encodes a chat, and marks the assistant's turns in its tokens.
 *
 * A template with {% generation %} blocks says itself what they are. For any other, a turn is what rendering it adds: it
 * begins where the chat before it, with the generation prompt, ends, and goes on to where the chat up to and with it
 * ends (so in Zephyr's template up to the newline after EOS). Throws TemplateError where one rendering is not the
 * beginning of the other.
 */
export function maskAssistant(tokenizer: Tokenizer, template: ChatTemplate, messages: readonly Message[]): MaskedChat {
  const text = template.render(messages);
  const ids = tokenizer.encode(text);
  const offsets = tokenOffsets(tokenizer, text, ids);
  if (offsets === undefined) {
    throw new TemplateError(
      "the tokenizer changes the characters of the text, so the assistant's turns cannot be found",
    );
  }
  const mask = new Uint8Array(ids.length);
  const marked = template.renderMarked(messages);
  if (marked !== undefined && marked.text !== text) {
    throw new TemplateError("renders otherwise with its generation blocks than without");
  }
  const turns = marked?.spans ?? renderedTurns({ tokenizer, template, messages, text, ids, offsets });
  let first = 0;
  for (const { begin, end } of turns) {
    const [from, to] = [byteLength(text, begin), byteLength(text, end)];
    while (first < ids.length && reach(offsets, first) <= from) first++;
    for (let i = first; i < ids.length && offsets.begins[i]! < to; i++) mask[i] = 1;
  }
  return { ids, mask };
}

/** Throws TemplateError, with both texts around their first difference, unless `whole` begins with `prompt`. */
export function assertPrefix(prompt: string, whole: string, what = "the prompt"): void {
  if (whole.startsWith(prompt)) return;
  let same = 0;
  while (same < prompt.length && prompt[same] === whole[same]) same++;
  const around = (text: string): string => JSON.stringify(text.slice(Math.max(0, same - 20), same + 20));
  throw new TemplateError(
    `${what} is not how the whole chat begins: at character ${same + 1} it has ${around(prompt)}, the chat ` +
      `${around(whole)}; expected a template that renders the beginning of a chat as the beginning of the chat`,
  );
}

interface Rendered {
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  readonly messages: readonly Message[];
  readonly text: string;
  readonly ids: Int32Array;
  readonly offsets: TokenOffsets;
}

function renderedTurns(chat: Rendered): Span[] {
  const { template, messages, text } = chat;
  const turns: Span[] = [];
  messages.forEach(({ role }, i) => {
    if (role !== "assistant") return;
    const prompt = i === 0 ? "" : template.render(messages.slice(0, i), { addGenerationPrompt: true });
    assertPrefix(prompt, text, `the prompt of message ${i + 1}`);
    const end = i + 1 === messages.length ? text.length : endOfTurn(chat, i, prompt.length);
    turns.push({ begin: prompt.length, end });
  });
  return turns;
}

// A template may close the last turn otherwise than those before it (Phi-3's adds its end of text). What both have in
// common is then the turn, and it is looked for in tokens, because "<|user|>" and "<|endoftext|>" begin alike as text.
function endOfTurn(
  { tokenizer, template, messages, text, ids, offsets }: Rendered,
  index: number,
  begin: number,
): number {
  const upTo = template.render(messages.slice(0, index + 1));
  if (text.startsWith(upTo)) return upTo.length;
  const own = tokenizer.encode(upTo);
  let same = 0;
  while (same < own.length && own[same] === ids[same]) same++;
  const end = same === 0 ? 0 : Buffer.from(text).toString("utf8", 0, offsets.ends[same - 1]!).length;
  const content = messages[index]!.content.trim();
  if (end < begin || !text.slice(begin, end).includes(content)) {
    assertPrefix(upTo, text, `the chat up to message ${index + 1}`);
  }
  return end;
}

/** Where a token's text ends; one without text belongs to the character after it. */
const reach = ({ begins, ends }: TokenOffsets, token: number): number => Math.max(ends[token]!, begins[token]! + 1);
const byteLength = (text: string, end: number): number => Buffer.byteLength(text.slice(0, end));
