import { describe, expect, test } from "vitest";

import { type AnswerOptions, Conversation } from "../../lib/generate/conversation.js";
import { refusal } from "../run/collect.js";
import { FakeEngine, fakeModel } from "./fake_engine.js";

async function said(pieces: AsyncIterable<string>): Promise<string> {
  let text = "";
  for await (const piece of pieces) text += piece;
  return text;
}

function begin(options: Partial<FakeEngine> = {}): { engine: FakeEngine; chat: Conversation } {
  const engine = Object.assign(new FakeEngine(), options);
  return { engine, chat: new Conversation(fakeModel(engine)) };
}

const contents = (chat: Conversation): string[] => chat.messages.map(({ role, content }) => `${role}: ${content}`);

test("what was said goes before what is said; answers come in pieces", async () => {
  const { engine, chat } = begin();
  chat.system = "be brief";
  const pieces: string[] = [];
  for await (const piece of chat.say("Hi", { temperature: 0, maxNewTokens: 9 })) pieces.push(piece);
  expect(pieces).toEqual([..."echo Hi"]);
  expect(chat.lastAnswer).toEqual({
    ...{ text: "echo Hi", finish: "stop", promptTokens: 35, cachedTokens: 0, numTokens: 7, droppedTurns: 0 },
  });
  expect(engine.requests[0]).toMatchObject({ temperature: 0, maxNewTokens: 9 });
  expect(await said(chat.say("And?"))).toBe("echo And?");
  expect(engine.prompts[1]).toBe("[system]be brief[user]Hi[assistant]echo Hi[user]And?[assistant]");
  expect(contents(chat)).toEqual([
    ...["system: be brief", "user: Hi", "assistant: echo Hi", "user: And?", "assistant: echo And?"],
  ]);
  expect([chat.numTokens, chat.maxTokens]).toEqual([
    "[system]be brief[user]Hi[assistant]echo Hi[user]And?[assistant]echo And?".length,
    1000,
  ]);
});

test("undo, retry and reset", async () => {
  const { engine, chat } = begin();
  expect(chat.numTokens).toBe(0);
  expect(() => chat.undo()).toThrow("messages: nothing was said yet, expected a message to take back");
  expect(() => chat.retry()).toThrow("messages: nothing was said yet, expected a message to answer again");
  chat.system = "s";
  await said(chat.say("one"));
  await said(chat.say("two"));
  engine.reply = () => ["other"];
  expect(await said(chat.retry({ seed: 4 }))).toBe("other");
  expect(engine.requests.at(-1)).toMatchObject({ seed: 4 });
  expect(engine.prompts.at(-1)).toBe(engine.prompts[1]);
  expect(contents(chat).slice(-2)).toEqual(["user: two", "assistant: other"]);
  expect(chat.undo()).toBe("two");
  expect(contents(chat)).toEqual(["system: s", "user: one", "assistant: echo one"]);
  chat.reset();
  expect(contents(chat)).toEqual(["system: s"]);
});

describe("an answer that is stopped", () => {
  test("by the signal keeps what was said, and the iteration ends as if it were all", async () => {
    const { engine, chat } = begin();
    const controller = new AbortController();
    let text = "";
    for await (const piece of chat.say("Hi", { signal: controller.signal })) {
      text += piece;
      if (text === "ech") controller.abort();
    }
    expect([text, chat.lastAnswer!.finish, chat.lastAnswer!.numTokens]).toEqual(["ech", "aborted", 3]);
    expect([contents(chat).at(-1), engine.numRunning]).toEqual(["assistant: ech", 0]);
    expect(await said(chat.retry())).toBe("echo Hi");
  });

  test("by abandoning the iteration too", async () => {
    const { engine, chat } = begin();
    for await (const piece of chat.say("Hi")) if (piece === "h") break;
    expect([contents(chat), chat.lastAnswer!.finish]).toEqual([["user: Hi", "assistant: ech"], "aborted"]);
    expect(engine.numRunning).toBe(0);
  });

  test("by an error leaves the chat as it was", async () => {
    const { engine, chat } = begin();
    await said(chat.say("one"));
    engine.reply = () => ["a", new Error("the device is gone")];
    expect(await refusal(said(chat.say("two")))).toBe("Error: the device is gone");
    expect(await refusal(said(chat.retry()))).toBe("Error: the device is gone");
    expect(await refusal(said(chat.say("refuse")))).toBe("TemplateError: chat template: not this");
    expect(contents(chat)).toEqual(["user: one", "assistant: echo one"]);
    engine.reply = () => ["b"];
    expect(await said(chat.say("three"))).toBe("b");
  });

  test("nothing else may be said while it comes", async () => {
    const { chat } = begin();
    for await (const _ of chat.say("Hi")) {
      expect(await refusal(said(chat.say("and")))).toMatch("an answer is on its way, expected it to have ended");
      expect(() => chat.reset()).toThrow("an answer is on its way");
      break;
    }
    await said(chat.say("now"));
  });
});

describe("a full context", () => {
  // A turn is [user]aaaa…[assistant]b: 6 + 40 + 11 + 1 tokens.
  const turn = (letter: string) => letter.repeat(40);
  const crowded = (): ReturnType<typeof begin> => begin({ maxTokens: 300, reply: () => ["b"] });

  test("drops its oldest turns, so many that half of it is free, and says so", async () => {
    const { engine, chat } = crowded();
    chat.system = "s".repeat(12);
    for (const letter of "aceg") {
      await said(chat.say(turn(letter)));
      expect([chat.lastAnswer!.droppedTurns, chat.droppedTurns]).toEqual([0, 0].map(() => (letter === "g" ? 2 : 0)));
    }
    expect(engine.prompts.at(-1)).toBe(
      `[system]${"s".repeat(12)}[user]${turn("e")}[assistant]b[user]${turn("g")}[assistant]`,
    );
    expect(chat.messages.length).toBe(9); // nothing is lost for whoever saves it
    await said(chat.say("x"));
    expect([chat.lastAnswer!.droppedTurns, chat.droppedTurns]).toEqual([0, 2]);
    expect(engine.prompts.at(-1)).toContain(turn("e"));
    expect(chat.numTokens).toBe(engine.requests.at(-1)!.prompt.length + 1);
  });

  test("is as large as short answers leave it", async () => {
    const { chat } = crowded();
    const options: AnswerOptions = { maxNewTokens: 2 };
    for (const letter of "aceg") await said(chat.say(turn(letter), options));
    await said(chat.say("x", options));
    expect([chat.droppedTurns, chat.lastAnswer!.promptTokens]).toEqual([0, 250]);
    await said(chat.say(turn("i"), options));
    expect(chat.droppedTurns).toBe(3);
  });

  test("refuses what does not fit alone, and keeps the rest", async () => {
    const { chat } = crowded();
    await said(chat.say(turn("a")));
    await said(chat.say("z".repeat(280))); // 297 tokens: little room is better than none
    expect([chat.lastAnswer!.finish, chat.droppedTurns]).toEqual(["stop", 1]);
    expect(await refusal(said(chat.say("z".repeat(283))))).toBe(
      "ConfigError: messages: the message has 300 tokens, expected fewer than 300",
    );
    chat.undo();
    chat.system = "s";
    expect(await refusal(said(chat.say("z".repeat(280))))).toBe(
      "ConfigError: messages: the message and the system's have 306 tokens, expected fewer than 300",
    );
    chat.undo();
    await said(chat.say("x"));
    expect(chat.droppedTurns).toBe(0);
  });
});

test("a chat is taken over, with its system message", async () => {
  const { engine, chat } = begin();
  const messages = [
    { role: "system", content: "s" },
    { role: "user", content: "a" },
  ];
  chat.messages = messages;
  expect([chat.system, chat.messages]).toEqual(["s", messages]);
  await said(chat.retry());
  expect(engine.prompts).toEqual(["[system]s[user]a[assistant]"]);
  expect(refuseMessages(chat, [...messages, messages[0]!])).toThrow(
    "messages[2].role: system, expected the system's message to be the first",
  );
  chat.messages = [];
  expect(chat.system).toBeUndefined();
});

const refuseMessages = (chat: Conversation, messages: Conversation["messages"]) => () => {
  chat.messages = messages;
};

test("a template without a place for a system message refuses one", () => {
  const chat = new Conversation(fakeModel(new FakeEngine(), "{{ messages[0].content }}"));
  expect(() => {
    chat.system = "s";
  }).toThrow("system: the chat template has no place for a system message");
  chat.system = undefined;
});
