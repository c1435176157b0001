import { describe, expect, test } from "vitest";
import { DataError } from "../../lib/base/errors.js";
import { toPreferencePair, toSftRow } from "../../lib/data/row.js";
import type { SourceRow } from "../../lib/data/source.js";
import { readJsonLines, sharedData } from "../shared_data.js";

const source = (fields: Record<string, unknown>): SourceRow => ({ source: "data/train.jsonl", index: 6, fields });
const place = { source: "data/train.jsonl", index: 6 };
const user = (content: string) => ({ role: "user", content });
const assistant = (content: string) => ({ role: "assistant", content });
const system = (content: string) => ({ role: "system", content });

describe("rows to fine-tune on", () => {
  const sft = (fields: Record<string, unknown>, options = {}) => toSftRow(source(fields), options);

  test("messages, ShareGPT's conversations, completions, text", () => {
    expect(sft({ messages: [user("a"), assistant("b")], prompt: "a" })).toEqual({
      messages: [user("a"), assistant("b")],
      place,
    });
    const turns = [
      { from: "human", value: "a" },
      { from: "gpt", value: "b" },
    ];
    expect(sft({ conversations: turns })).toEqual({ messages: [user("a"), assistant("b")], place });
    const strange = { role: "constructor", content: "c" }; // a name that every object has
    expect(sft({ conversations: [{ from: strange.role, value: "c" }] })).toEqual({ messages: [strange], place });
    expect(sft({ prompt: "a", completion: "b" })).toEqual({ prompt: "a", completion: "b", place });
    expect(sft({ prompt: [user("a")], completion: [assistant("b")] })).toMatchObject({ completion: [assistant("b")] });
    expect(sft({ text: "once" })).toEqual({ text: "once", place });
    expect(sft({ story: "once" }, { textField: "story" })).toEqual({ text: "once", place });
  });

  test("content of text parts is joined", () => {
    const content = [
      { type: "text", text: "a" },
      { type: "text", text: "b" },
    ];
    expect(sft({ messages: [{ role: "user", content }] })).toMatchObject({ messages: [user("ab")] });
  });

  test.each([
    [{}, "no fields; expected"],
    [{ prompt: "x", id: 1 }, 'found "prompt", "id"; expected "messages", "prompt" with "completion", or "text"'],
    [{ messages: "x" }, "messages: text, expected a list of messages"],
    [{ messages: [] }, "messages: an empty list, expected at least one message"],
    [{ messages: [user("a"), "b"] }, "messages[1]: text, expected an object with role and content"],
    [{ messages: [{ content: "a" }] }, "messages[0].role: missing, expected text"],
    [{ messages: [{ role: "user", content: null }] }, "messages[0].content: null, expected text"],
    [{ messages: [{ role: "user", content: [{ type: "image" }] }] }, "messages[0].content: a list, expected text"],
    [{ text: 5 }, "text: a number, expected text"],
    [{ prompt: "a", completion: [assistant("b")] }, "prompt text, but completion is a list; expected all text"],
  ])("%j is refused", (fields, message) => {
    expect(() => sft(fields)).toThrow(DataError);
    expect(() => sft(fields)).toThrow(`data/train.jsonl:7: ${message}`);
  });
});

describe("preference pairs", () => {
  const preference = (fields: Record<string, unknown>) => toPreferencePair(source(fields));

  test("an explicit prompt, text or messages", () => {
    expect(preference({ prompt: "p", chosen: "c", rejected: "r" })).toEqual({
      prompt: "p",
      chosen: "c",
      rejected: "r",
      place,
    });
    const fields = { prompt: [user("p")], chosen: [assistant("c")], rejected: [assistant("r")] };
    expect(preference(fields)).toEqual({ ...fields, place });
  });

  test("a prompt list that the answers repeat is taken off them", () => {
    const prompt = [user("p")];
    const fields = { prompt, chosen: [...prompt, assistant("c")], rejected: [...prompt, assistant("r")] };
    expect(preference(fields)).toMatchObject({ prompt, chosen: [assistant("c")], rejected: [assistant("r")] });
  });

  test("an implicit prompt is the messages both begin with, and each keeps an answer", () => {
    const [a, b] = [
      [system("s"), user("p"), assistant("c"), user("more")],
      [system("s"), user("p"), assistant("r")],
    ];
    expect(preference({ chosen: a, rejected: b })).toMatchObject({
      prompt: [system("s"), user("p")],
      chosen: [assistant("c"), user("more")],
      rejected: [assistant("r")],
    });
    const same = [user("p"), assistant("c")];
    expect(preference({ chosen: same, rejected: same })).toMatchObject({
      prompt: [user("p")],
      chosen: [assistant("c")],
    });
  });

  test("an implicit prompt of text goes to the last word", () => {
    expect(preference({ chosen: "The sky is blue.", rejected: "The sky is green." })).toMatchObject({
      prompt: "The sky is",
      chosen: " blue.",
      rejected: " green.",
    });
    expect(preference({ chosen: "a\u{1F600}", rejected: "a\u{1F601}" })).toMatchObject({
      prompt: "a",
      chosen: "\u{1F600}",
    });
  });

  test("ultrafeedback_binarized: a prompt text beside whole conversations", () => {
    const opening = [user("p"), assistant("hm"), user("q")];
    const fields = { prompt: "p", chosen: [...opening, assistant("c")], rejected: [...opening, assistant("r")] };
    expect(preference(fields)).toEqual({
      prompt: opening,
      chosen: [assistant("c")],
      rejected: [assistant("r")],
      place,
    });
    expect(preference({ prompt: "p", chosen: [assistant("c")], rejected: [assistant("r")] })).toEqual({
      prompt: [user("p")],
      chosen: [assistant("c")],
      rejected: [assistant("r")],
      place,
    });
  });

  test.each([
    [{ prompt: "p", chosen: "c" }, 'found "prompt", "chosen"; expected "chosen" and "rejected"'],
    [{ chosen: [user("a")], rejected: [user("b")] }, "chosen and rejected begin with different messages"],
    [{ chosen: "a", rejected: "b" }, "chosen and rejected begin with different text"],
    [
      { prompt: "p", chosen: [user("p"), assistant("c")], rejected: [user("x"), assistant("r")] },
      "chosen and rejected have different prompts",
    ],
    [{ prompt: [user("p")], chosen: "c", rejected: "r" }, "chosen and rejected text, but prompt is a list"],
    [{ prompt: "p", chosen: [assistant("c")], rejected: "r" }, "rejected text, but chosen is a list"],
  ])("%j is refused", (fields, message) => {
    expect(() => preference(fields)).toThrow(`data/train.jsonl:7: ${message}`);
  });

  test.skipIf(sharedData("preferences/binarised_test.jsonl") === undefined)("real pairs keep their text", () => {
    for (const fields of readJsonLines<Record<string, never>>(sharedData("preferences/binarised_test.jsonl")!)) {
      const { prompt, chosen, rejected } = toPreferencePair(source(fields));
      expect([...prompt, ...chosen]).toEqual(fields.chosen);
      expect([...prompt, ...rejected]).toEqual(fields.rejected);
      expect([chosen.length, rejected.length]).toEqual([1, 1]);
    }
  });
});
