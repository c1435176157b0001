import { expect, test } from "vitest";
import { isDrop, toDialogue } from "../../lib/curate/dialogue.js";

const outcomeOf = (fields: Record<string, unknown>) => {
  const outcome = toDialogue({ source: "raw.jsonl", index: 4, fields });
  if (isDrop(outcome)) return [outcome.reason, outcome.detail];
  return [outcome.messages.map(({ role, content }) => `${role[0]}:${content}`).join(" "), outcome.isCut];
};

const turn = (role: string, content: string) => ({ role, content });

test.each([
  [{ id: "1", data: ["a", "b", "c", "d"] }, "u:a a:b u:c a:d", false],
  [{ data: ["a", "b", "c"] }, "u:a a:b", true],
  [{ messages: [turn("user", "a"), turn("assistant", "b")] }, "u:a a:b", false],
  [
    { messages: [turn("system", "s"), turn("user", "a"), turn("assistant", "b"), turn("user", "c")] },
    "s:s u:a a:b",
    true,
  ],
  [
    {
      conversations: [
        { from: "human", value: "a" },
        { from: "gpt", value: "b" },
      ],
    },
    "u:a a:b",
    false,
  ],
  [{ prompt: "a", completion: "b" }, "u:a a:b", false],
  [{ messages: [turn("user", "a"), turn("assistant", "b")], data: { licence: "open" } }, "u:a a:b", false],
  [{ prompt: [turn("user", "a")], completion: [turn("assistant", "b")] }, "u:a a:b", false],
])("%j is a dialogue", (fields, messages, isCut) => {
  expect(outcomeOf(fields)).toEqual([messages, isCut]);
});

test.each([
  [{}, "noDialogue", 'no fields; expected "messages", "prompt" with "completion", or "text"'],
  [{ text: "a" }, "noDialogue", "text alone, expected turns"],
  [{ data: "a" }, "noDialogue", "data: text, expected a list of texts"],
  [{ data: ["a", 3] }, "noDialogue", "data[1]: a number, expected text"],
  [{ messages: [{ role: "user" }] }, "noDialogue", "messages[0].content: missing, expected text"],
  [{ data: ["a", " \n"] }, "emptyTurn", 'turn 2: " \\n", expected text'],
  [{ messages: [turn("assistant", "a"), turn("user", "b")] }, "brokenOrder", "turn 1: assistant, expected user"],
  [{ messages: [turn("user", "a"), turn("user", "b")] }, "brokenOrder", "turn 2: user, expected assistant"],
  [
    { messages: [turn("user", "a"), turn("assistant", "b"), turn("system", "c")] },
    "brokenOrder",
    "turn 3: system, expected user",
  ],
  [{ messages: [turn("user", "a"), turn("tool", "b")] }, "brokenOrder", "turn 2: tool, expected assistant"],
  [{ data: [] }, "noAnswer", "0 turns, expected a question and an answer"],
  [{ data: ["a"] }, "noAnswer", "1 turns, expected a question and an answer"],
  [{ messages: [turn("system", "s"), turn("user", "a")] }, "noAnswer", "2 turns, expected a question and an answer"],
])("%j is dropped", (fields, reason, detail) => {
  expect(outcomeOf(fields)).toEqual([reason, detail]);
});
