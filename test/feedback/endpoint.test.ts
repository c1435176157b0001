import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeEach, describe, expect, test } from "vitest";

import type { AnswerError } from "../../lib/base/errors.js";
import { Budget } from "../../lib/feedback/budget.js";
import type { ChatAnswer, ChatOptions } from "../../lib/feedback/chat_model.js";
import { type EndpointOptions, endpointModel } from "../../lib/feedback/endpoint.js";
import { refusal } from "../run/collect.js";
import { type Behaviour, FakeEndpoint } from "./fake_endpoint.js";

let endpoint = await FakeEndpoint.start();
afterAll(() => endpoint[Symbol.asyncDispose]());
beforeEach(async () => {
  await endpoint[Symbol.asyncDispose]();
  endpoint = await FakeEndpoint.start();
});

const budget = () => new Budget().tally();
const model = (options: Partial<EndpointOptions> = {}, tally = budget()) =>
  endpointModel({ url: endpoint.url, model: "m", firstWait: 1, mostWait: 20, timeout: 2000, ...options }, tally);
const ask = (options: Partial<EndpointOptions> = {}, asked: ChatOptions = {}, prompt = "hi"): Promise<ChatAnswer> =>
  model(options).answer([{ role: "user", content: prompt }], asked);

/** Behaves so in the first tries, and then answers. */
const first = (...behaviours: Behaviour[]): void => {
  endpoint.behave = ({ times }) => behaviours[times - 1] ?? { kind: "answer", text: "good" };
};

const reply = (status: number, body: unknown = {}, headers: Record<string, string> = {}): Behaviour => ({
  ...{ kind: "reply", status, body, headers },
});

test("a chat is asked with what is set, and the answer told with its tokens", async () => {
  endpoint.behave = () => ({ kind: "answer", text: "yes", finish: "length" });
  const extra = { apiKey: "secret", extraBody: { top_k: 5 } };
  const asked = { temperature: 0.5, topP: 0.9, maxTokens: 7, seed: 3, stop: ["\n"] };
  expect(await ask(extra, asked)).toEqual({ text: "yes", finish: "length", promptTokens: 10, completionTokens: 5 });
  const [{ path, headers, body }] = endpoint.requests as [(typeof endpoint.requests)[0]];
  expect([path, headers.authorization]).toEqual(["/v1/chat/completions", "Bearer secret"]);
  expect(body).toEqual({
    ...{ model: "m", messages: [{ role: "user", content: "hi" }], top_k: 5 },
    ...{ temperature: 0.5, top_p: 0.9, max_tokens: 7, seed: 3, stop: ["\n"] },
  });
  await ask({ maxTokensField: "max_completion_tokens" }, { maxTokens: 7 });
  expect(endpoint.requests[1]!.body).toEqual({
    ...{ model: "m", messages: [{ role: "user", content: "hi" }], max_completion_tokens: 7 },
  });
  expect(endpoint.requests[1]!.headers.authorization).toBeUndefined();
});

describe("it tries again after", () => {
  test.each<[string, Behaviour]>([
    ["408", reply(408)],
    ["409", reply(409)],
    ["425", reply(425)],
    ["429", reply(429, {}, { "retry-after": "0" })],
    ["500", reply(500)],
    ["503 that is no JSON", reply(503, "<html>busy</html>")],
    ["a connection that is closed", { kind: "close" }],
    ["one that is dropped in the middle", { kind: "drop" }],
    ["half an answer", { kind: "half" }],
    ["garbage", reply(200, "\u0000\u0001 no JSON")],
    ["nothing", reply(200, "")],
    ["a list", reply(200, [1])],
    ["no choices", reply(200, { choices: [] })],
    ["a choice without a message", reply(200, { choices: [{}] })],
    ["an error in a reply of status 200", reply(200, { error: { message: "busy" } })],
    ["more than it takes", { kind: "huge", bytes: 50_000 }],
    ["a timeout", { kind: "hang" }],
  ])("%s", async (_, behaviour) => {
    first(behaviour, behaviour);
    const options = { timeout: behaviour.kind === "hang" ? 50 : 2000, maxBytes: 40_000 };
    expect((await ask(options)).text).toBe("good");
    expect(endpoint.timesAsked("hi")).toBe(3);
  });

  test("an idle connection that the endpoint closed", async () => {
    endpoint.keepAlive = 1;
    const one = model();
    for (let i = 0; i < 3; i++) {
      expect((await one.answer([{ role: "user", content: `${i}` }])).text).toBe(`echo ${i}`);
      if (i === 1) await new Promise((resolve) => setTimeout(resolve, 1005)); // node adds a second of its own
    }
    expect(endpoint.delivered.length).toBe(3);
  });
});

describe("it does not try again after", () => {
  const because = (message: string): unknown => ({ error: { message, type: "invalid_request_error" } });

  test.each<[Behaviour, AnswerError["failure"], string]>([
    [reply(400, because("too long")), "refused", "m: HTTP 400: too long"],
    [reply(413, "too large"), "refused", "m: HTTP 413: too large"],
    [reply(422, { detail: [{ loc: ["n"] }] }), "refused", 'm: HTTP 422: {"detail":[{"loc":["n"]}]}'],
    [reply(401, { error: "who?" }), "denied", "m: HTTP 401: who?"],
    [reply(402, because("pay")), "denied", "m: HTTP 402: pay"],
    [reply(403, because("no")), "denied", "m: HTTP 403: no"],
    [reply(404, ""), "denied", "m: HTTP 404: no message"],
    [reply(302, "", { location: "/elsewhere" }), "denied", "m: HTTP 302: moved to /elsewhere"],
    [reply(429, { error: { message: "no credit", code: "insufficient_quota" } }), "denied", "m: HTTP 429: no credit"],
    [reply(200, { error: { message: "who?", code: 401 } }), "denied", "m: HTTP 401: who?"],
  ])("%o", async (behaviour, failure, message) => {
    endpoint.behave = () => behaviour;
    const error = await ask().catch((error) => error);
    expect([error.name, error.failure, error.message]).toEqual(["AnswerError", failure, message]);
    expect(endpoint.requests.length).toBe(1);
  });

  test("so many tries", async () => {
    endpoint.behave = () => reply(503, because("busy"));
    const error = await ask({ tries: 3 }).catch((error) => error);
    expect([error.failure, error.message]).toEqual(["unavailable", "m: HTTP 503: busy (try 3 of 3)"]);
    expect(endpoint.requests.length).toBe(3);
  });
});

test("the key is told nowhere, and a long message is cut", async () => {
  endpoint.behave = () => reply(401, { error: { message: `bad key: sk-secret\n${"x".repeat(10_000)}` } });
  const error = await ask({ apiKey: "sk-secret" }).catch((error) => error);
  expect(error.message).toMatch(/^m: HTTP 401: bad key: \[key\] x+\.\.\.$/);
  expect(error.message.length).toBeLessThan(330);
});

test("more than it takes is cut off", async () => {
  endpoint.behave = () => ({ kind: "huge", bytes: 50_000 });
  expect(await refusal(ask({ tries: 1, maxBytes: 40_000 }))).toBe(
    "AnswerError: m: an answer of more than 40000 bytes (try 1 of 1)",
  );
});

test("nothing at the address is told as such", async () => {
  const { url } = endpoint;
  await endpoint[Symbol.asyncDispose]();
  endpoint = await FakeEndpoint.start();
  expect(await refusal(ask({ url, tries: 2 }))).toMatch(
    /^AnswerError: m: no answer: connect ECONNREFUSED .* \(try 2 of 2\)$/,
  );
});

test("what never left, or found no safe connection, costs nothing", async () => {
  await using server = createServer((_, response) => response.end());
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  for (const url of [`https://127.0.0.1:${port}/v1`, "http://127.0.0.1:9/v1", "http://host.invalid/v1"]) {
    const tally = budget();
    expect(await refusal(model({ url, tries: 1 }, tally).answer([{ role: "user", content: "hi" }]))).toMatch(
      /^AnswerError: m: no answer: .*(?:wrong version|bad port|host.invalid)/,
    );
    expect(tally.spent).toMatchObject({ promptTokens: 0, completionTokens: 0 });
  }
});

test.each(["sk-secret\nrest", "sk-secret’rest", "sk secret"])(
  "the key %j cannot be sent, and is not shown",
  async (apiKey) => {
    expect(await refusal(() => model({ apiKey }))).toBe(
      "ConfigError: api_key_env: a key with blanks, line breaks or characters beyond ASCII, expected letters, digits and signs",
    );
    expect(await refusal(() => model({ apiKey: "" }))).toContain("api_key_env: an empty key");
  },
);

test.each([
  ["ftp://x/v1", "ConfigError: endpoint: ftp://x/v1, expected an address that begins with http:// or https://"],
  ["x/v1", "ConfigError: endpoint: x/v1, expected an address that begins with http:// or https://"],
  ["http://me:secret@x/v1", "ConfigError: endpoint: credentials for x, expected the key in the environment"],
])("the address %s is refused", async (url, message) => {
  expect(await refusal(() => model({ url }))).toBe(message);
});

describe("what an answer is", () => {
  const choice = (message: object, finish_reason: string | null = "stop") => ({
    choices: [{ message, finish_reason }],
  });

  test.each<[object, Partial<ChatAnswer>]>([
    [choice({ content: "a" }, "content_filter"), { text: "a", finish: "filter" }],
    [choice({ content: null }, "length"), { text: "", finish: "length" }],
    [choice({ content: null, refusal: "I cannot" }), { text: "I cannot", finish: "filter" }],
    [
      choice({
        content: [
          { type: "text", text: "a" },
          { type: "text", text: "b" },
        ],
      }),
      { text: "ab", finish: "stop" },
    ],
    [choice({ content: "a" }, null), { text: "a", finish: "stop" }],
    [choice({ content: "abcdef" }), { promptTokens: 9, completionTokens: 2 }],
    [{ ...choice({ content: "a" }), usage: { prompt_tokens: 3, completion_tokens: 900 } }, { completionTokens: 900 }],
    [
      { ...choice({ content: "a" }), usage: { prompt_tokens: "3", completion_tokens: -1 } },
      { promptTokens: 9, completionTokens: 1 },
    ],
  ])("%j", async (body, expected) => {
    endpoint.behave = () => reply(200, body);
    expect(await ask()).toMatchObject(expected);
  });
});

describe("a schema", () => {
  const schema = { name: "rating", schema: { type: "object" } };

  test("is asked for, and given up where the endpoint refuses it", async () => {
    endpoint.behave = ({ body }) =>
      "response_format" in body ? reply(400, { error: "no response_format" }) : { kind: "answer", text: "{}" };
    const one = model();
    for (const prompt of ["a", "b"]) {
      expect((await one.answer([{ role: "user", content: prompt }], { schema })).text).toBe("{}");
    }
    expect(endpoint.requests.map(({ prompt, body }) => [prompt, body.response_format])).toEqual([
      ["a", { type: "json_schema", json_schema: { ...schema, strict: true } }],
      ["a", undefined],
      ["b", undefined],
    ]);
  });

  test.each<[string, Behaviour[], boolean[]]>([
    ["stays after one refusal that passes", [reply(400)], [true, false, true, true]],
    ["is given up after two in a row that do not say why", [reply(400), reply(400)], [true, false, true, false, false]],
  ])("%s", async (_, refusals, sent) => {
    endpoint.behave = ({ body }) =>
      (body.response_format === undefined ? undefined : refusals.shift()) ?? { kind: "answer", text: "{}" };
    const one = model();
    for (const content of "abc") await one.answer([{ role: "user", content }], { schema });
    expect(endpoint.requests.map(({ body }) => "response_format" in body)).toEqual(sent);
  });

  test("stays where the chat is refused without it too", async () => {
    endpoint.behave = ({ prompt }) => (prompt === "a" ? reply(400) : { kind: "answer", text: "{}" });
    const one = model();
    expect(await refusal(one.answer([{ role: "user", content: "a" }], { schema }))).toBe(
      "AnswerError: m: HTTP 400: {}",
    );
    await one.answer([{ role: "user", content: "b" }], { schema });
    expect(endpoint.requests.map(({ body }) => "response_format" in body)).toEqual([true, false, true]);
  });
});

test("only so many run at the same time", async () => {
  endpoint.behave = () => ({ kind: "answer", text: "a", delay: 10 });
  const one = model({ concurrency: 3 });
  await Promise.all([..."abcdefghij"].map((content) => one.answer([{ role: "user", content }])));
  expect([endpoint.mostRunning, endpoint.requests.length]).toEqual([3, 10]);
});

describe("the signal", () => {
  const stopIn = (milliseconds: number): AbortSignal => AbortSignal.timeout(milliseconds);

  test("leaves an answer that is on its way a time to come", async () => {
    endpoint.behave = () => ({ kind: "answer", text: "paid for", delay: 100 });
    for (const grace of [2000, 1e10]) expect((await ask({ grace }, { signal: stopIn(30) })).text).toBe("paid for");
  });

  test("ends it after that", async () => {
    endpoint.behave = () => ({ kind: "hang" });
    const tally = budget();
    const asked = { signal: stopIn(30), maxTokens: 100 };
    expect(await refusal(ask({ grace: 0, tries: 1 }, { signal: stopIn(10) }))).toContain("AbortedError");
    expect(await refusal(model({ grace: 30 }, tally).answer([{ role: "user", content: "hi!" }], asked))).toBe(
      "AbortedError: stopped before the answer",
    );
    expect(tally.spent).toMatchObject({ promptTokens: 9, completionTokens: 100 }); // it may have been charged
  });

  test("ends what waits at once: for another try, for its turn, for the budget", async () => {
    endpoint.behave = ({ prompt }) => (prompt === "again" ? reply(503) : { kind: "hang" });
    const waiting = model({ firstWait: 1e6, mostWait: 1e6, random: () => 1 });
    const began = performance.now();
    const asked = (): ChatOptions => ({ signal: stopIn(60) });
    expect(await refusal(waiting.answer([{ role: "user", content: "again" }], asked()))).toContain("AbortedError");

    const narrow = model({ concurrency: 1, grace: 60 });
    const two = ["x", "y"].map((content) => refusal(narrow.answer([{ role: "user", content }], asked())));
    expect((await Promise.all(two)).map((text) => text.slice(0, 12))).toEqual(["AbortedError", "AbortedError"]);
    expect(endpoint.requests.map(({ prompt }) => prompt)).toEqual(["again", "x"]);

    const tally = new Budget({ tokens: 150 }).tally();
    const poor = model({ grace: 60 }, tally);
    const both = ["v", "w"].map((content) =>
      refusal(poor.answer([{ role: "user", content }], { ...asked(), maxTokens: 90 })),
    );
    expect((await Promise.all(both)).map((text) => text.slice(0, 12))).toEqual(["AbortedError", "AbortedError"]);
    expect(endpoint.requests.length).toBe(3);
    expect(performance.now() - began).toBeLessThan(2000);
  });

  test("that was raised before asks nothing", async () => {
    expect(await refusal(ask({}, { signal: AbortSignal.abort() }))).toContain("AbortedError");
    expect(endpoint.requests.length).toBe(0);
  });
});

test("the tally is told what was spent: of answers what they took, of lost ones all they may have", async () => {
  const spent = async (...behaviours: Behaviour[]) => {
    first(...behaviours);
    const lost: number[] = [];
    const tally = new Budget().tally({ input: 1e6, output: 0 }, ({ promptTokens }) => lost.push(promptTokens));
    const content = `${Math.random()}`.slice(0, 9); // a prompt of its own, of 11 tokens by the estimate
    await model({ timeout: 100 }, tally).answer([{ role: "user", content }], { maxTokens: 100 });
    return [tally.spent.promptTokens, tally.spent.completionTokens, tally.spent.cost, lost];
  };
  expect(await spent()).toEqual([10, 5, 10, []]);
  expect(await spent(reply(500), reply(429))).toEqual([10, 5, 10, []]);
  expect(await spent({ kind: "half" }, { kind: "hang" })).toEqual([32, 205, 32, [11, 11]]);
});
