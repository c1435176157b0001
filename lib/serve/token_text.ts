import type { Tokenizer } from "../text/tokenizer.js";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * A token as text: what it stands for, `bytes:\xe2\x80` for a part of a character, and its spelling in the vocabulary for a
 * special token, which stands for nothing.
 */
export function tokenText(
  { id, bytes }: { readonly id: number; readonly bytes: Uint8Array },
  tokenizer: Tokenizer,
): string {
  if (bytes.length === 0) return tokenizer.token(id) ?? "";
  try {
    return decoder.decode(bytes);
  } catch {
    return `bytes:${Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}`;
  }
}

/** JSON has no infinity, which is the log-probability of what cannot be; OpenAI's API has -9999 for it. */
export const finiteLogprob = (logprob: number): number => Math.max(logprob, -9999);
