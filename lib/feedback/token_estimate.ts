import type { Message } from "../text/chat_template.js";

const BYTES_PER_TOKEN = 3; // English has about four, Chinese three a character, code about three
const TOKENS_PER_MESSAGE = 8; // what a template writes around it

/** About how many tokens a text has for a model whose tokenizer is not known, rather too many than too few. */
export const estimateTextTokens = (text: string): number => Math.ceil(Buffer.byteLength(text) / BYTES_PER_TOKEN);

/** The same of a chat. */
export const estimateTokens = (messages: readonly Message[]): number =>
  messages.reduce((sum, { content }) => sum + TOKENS_PER_MESSAGE + estimateTextTokens(content), 0);
