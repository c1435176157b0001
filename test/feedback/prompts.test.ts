import { createHash } from "node:crypto";
import { expect, test } from "vitest";

import { toFeedbackPrompt } from "../../lib/feedback/prompts.js";
import { refusal } from "../run/collect.js";

const read = (fields: Record<string, unknown>) => toFeedbackPrompt({ source: "p.jsonl", index: 4, fields });
const user = (content: string) => ({ role: "user", content });
const bot = (content: string) => ({ role: "assistant", content });
const sha = (text: string) => createHash("sha256").update(text).digest("hex");

test("a prompt is found where rows have it", () => {
  expect(read({ prompt: "a", source: "evol" })).toEqual({
    ...{ key: sha("a"), promptId: sha("a"), source: "evol" },
    ...{ messages: [user("a")], place: { source: "p.jsonl", index: 4 } },
  });
  expect(read({ instruction: "a", prompt_id: "p1" })).toMatchObject({ key: sha("a"), promptId: "p1", source: null });
  expect(read({ prompt: [user("a")] }).messages).toEqual([user("a")]);
  const chat = [user("a"), bot("b"), user("c")];
  expect(read({ messages: chat, prompt: "a" }).messages).toEqual(chat);
  expect(read({ messages: chat }).key).toBe(sha(JSON.stringify(chat)));
  // As ultrafeedback_binarized has it: the messages end with an answer, the prompt stands beside them.
  expect(read({ messages: [user("a"), bot("b")], prompt: "a" }).messages).toEqual([user("a")]);
  expect(read({ messages: [{ from: "human", value: "a" }] }).messages).toEqual([user("a")]);
});

test.each<[Record<string, unknown>, string]>([
  [{ text: "a" }, 'found "text"; expected "messages", "prompt" or "instruction"'],
  [{}, 'no fields; expected "messages", "prompt" or "instruction"'],
  [{ prompt: 3 }, "prompt: a number, expected text"],
  [{ instruction: true }, "instruction: a boolean, expected text"],
  [{ prompt: " \n" }, "an empty prompt, expected text"],
  [{ messages: [user("a"), bot("b")] }, "messages: the last is of assistant, expected the user's"],
  [{ prompt: [bot("b")] }, "prompt: the last is of assistant, expected the user's"],
  [
    { messages: [user("a"), { role: "system", content: "b" }, user("c")] },
    "messages[1].role: system, expected it to be the first",
  ],
  [{ messages: [user("a"), user("")] }, "an empty prompt, expected text"],
])("%j is refused", async (fields, message) => {
  expect(await refusal(() => read(fields))).toBe(`DataError: p.jsonl:5: ${message}`);
});
