import type { ChatTemplate, Message } from "./chat_template.js";
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
  const chat = { tokenizer, template, messages, text, ids, ...align(tokenizer, text, ids) };
  const marked = template.renderMarked(messages);
  if (marked !== undefined && marked.text !== text) {
    throw new TemplateError("renders otherwise with its generation blocks than without");
  }
  const turns = marked?.spans.map(({ begin, end }) => [chat.toBytes(begin), chat.toBytes(end)] as const);
  const mask = new Uint8Array(ids.length);
  let first = 0;
  for (const [begin, end] of turns ?? renderedTurns(chat)) {
    while (first < ids.length && reach(chat.offsets, first) <= begin) first++;
    for (let i = first; i < ids.length && chat.offsets.begins[i]! < end; i++) mask[i] = 1;
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

interface Aligned {
  readonly offsets: TokenOffsets;
  /** The byte, among those the tokens were found in, at which a character of the text lies. */
  toBytes(index: number): number;
  /** The text up to a byte. */
  upTo(byte: number): string;
}

interface Rendered extends Aligned {
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  readonly messages: readonly Message[];
  readonly text: string;
  readonly ids: Int32Array;
}

// A tokenizer may bring the text into a Unicode normal form first (Qwen's into NFC), and where "▁" spells a blank, a "▁" of
// the text's own is read as one.
const FORMS: readonly ((text: string) => string)[] = [
  (text) => text,
  (text) => text.normalize("NFC"),
  (text) => text.replaceAll("▁", " "),
  (text) => text.normalize("NFKC").replaceAll("▁", " "),
];

function align(tokenizer: Tokenizer, text: string, ids: Int32Array): Aligned {
  for (const form of FORMS) {
    const formed = form(text);
    const offsets = tokenOffsets(tokenizer, formed, ids);
    if (offsets === undefined) continue;
    return {
      offsets,
      toBytes: (index) => Buffer.byteLength(form(text.slice(0, index))),
      upTo: (byte) => Buffer.from(formed).toString("utf8", 0, byte),
    };
  }
  throw new TemplateError("the tokenizer changes the characters of the text, so the assistant's turns cannot be found");
}

function renderedTurns(chat: Rendered): [begin: number, end: number][] {
  const { template, messages, text } = chat;
  const turns: [number, number][] = [];
  messages.forEach(({ role }, i) => {
    if (role !== "assistant") return;
    const prompt = i === 0 ? "" : template.render(messages.slice(0, i), { addGenerationPrompt: true });
    assertPrefix(prompt, text, `the prompt of message ${i + 1}`);
    const begin = chat.toBytes(prompt.length);
    turns.push([begin, i + 1 === messages.length ? chat.toBytes(text.length) : endOfTurn(chat, i, begin)]);
  });
  return turns;
}

// A template may close the last turn otherwise than those before it (Phi-3's adds its end of text). What both have in
// common is then the turn, and it is looked for in tokens, because "<|user|>" and "<|endoftext|>" begin alike as text.
function endOfTurn(chat: Rendered, index: number, begin: number): number {
  const { tokenizer, template, messages, text, ids } = chat;
  const upTo = template.render(messages.slice(0, index + 1));
  if (text.startsWith(upTo)) return chat.toBytes(upTo.length);
  const own = tokenizer.encode(upTo);
  let same = 0;
  while (same < own.length && own[same] === ids[same]) same++;
  const end = same === 0 ? 0 : chat.offsets.ends[same - 1]!;
  const content = messages[index]!.content.trim().normalize("NFKC");
  if (end < begin || !chat.upTo(end).slice(chat.upTo(begin).length).normalize("NFKC").includes(content)) {
    assertPrefix(upTo, text, `the chat up to message ${index + 1}`);
  }
  return end;
}

/** Where a token's text ends; one without text belongs to the character after it. */
const reach = ({ begins, ends }: TokenOffsets, token: number): number => Math.max(ends[token]!, begins[token]! + 1);
