import { expect, test } from "vitest";

import { ChatShape } from "../../lib/serve/chat_shape.js";
import { CompletionShape } from "../../lib/serve/completion_shape.js";
import type { ToldToken } from "../../lib/serve/work.js";
import { tokenizer } from "./start.js";

const told = (bytes: Uint8Array, logprob: number, top: ToldToken["top"] = []): ToldToken => ({
  id: 2,
  bytes,
  logprob,
  top,
});
const text = (letters: string): Buffer => Buffer.from(letters);
const piece = (tokens: ToldToken[]) => ({ index: 0, text: "", tokens, finish: null });

// An owl of four bytes in two tokens, then a word, then a special token.
const owl = text("🦉");
const tokens = [
  told(text("é"), -1),
  told(owl.subarray(0, 2), -2),
  told(owl.subarray(2), -3),
  told(text(" ok"), -4),
  told(text(""), -5),
];
const spelt = ["é", "bytes:\\xf0\\x9f", "bytes:\\xa6\\x89", " ok", "</s>"];

test("parts of characters and special tokens have a spelling of their own; offsets count characters", () => {
  const { logprobs } = new CompletionShape(tokenizer).part(piece(tokens)) as { logprobs: Record<string, unknown> };
  expect(logprobs).toMatchObject({ tokens: spelt, text_offset: [0, 1, 1, 2, 5] });
  const chat = new ChatShape(tokenizer).part(piece(tokens)) as {
    logprobs: { content: { token: string; bytes: number[] }[] };
  };
  expect(chat.logprobs.content.map(({ token }) => token)).toEqual(spelt);
  expect(chat.logprobs.content.flatMap(({ bytes }) => bytes)).toEqual([...text("é🦉 ok")]);
});

test("offsets go on from one part of a choice to the next, and for each choice by itself", () => {
  const shape = new CompletionShape(tokenizer);
  const offsets = [0, 0, 1].map((index) => {
    const part = shape.part({ ...piece([told(text("abc"), -1)]), index }) as { logprobs: { text_offset: number[] } };
    return part.logprobs.text_offset;
  });
  expect(offsets).toEqual([[0], [3], [0]]);
});

test("what cannot be has -9999, and of two tokens of one text the likelier counts", () => {
  const top = [
    { id: 5, bytes: text("a"), logprob: -1 },
    { id: 6, bytes: text("a"), logprob: -2 },
  ];
  const never = told(text("b"), Number.NEGATIVE_INFINITY, top);
  const { logprobs } = new CompletionShape(tokenizer).part(piece([never])) as { logprobs: Record<string, unknown> };
  expect(logprobs).toMatchObject({ token_logprobs: [-9999], top_logprobs: [{ a: -1, b: -9999 }] });
  const chat = JSON.stringify(new ChatShape(tokenizer).part(piece([never])));
  expect(chat).toContain('"logprob":-9999');
});
