import OpenAI from "openai";
import { expect, test } from "vitest";

import { AbortedError, ConfigError } from "../../lib/base/errors.js";
import { serve } from "../../lib/serve/serve.js";
import { ChatTemplate } from "../../lib/text/chat_template.js";
import { FakeEngine } from "./fake_engine.js";
import { chat, errorOf, MODEL, start, tokenizer } from "./start.js";

const CHAT = "/v1/chat/completions";
const COMPLETIONS = "/v1/completions";
const messages = chat("Hello");

const wrong = (
  path: string,
  fields: object,
  param: string | null,
  message: RegExp,
  code: string | null = "invalid_value",
) => [path, fields, param, message, code] as const;

test.each([
  wrong(CHAT, {}, "messages", /^Missing required parameter: 'messages'\.$/, "missing_required_parameter"),
  wrong(CHAT, { messages: [] }, "messages", /empty/),
  wrong(CHAT, { messages: "hello" }, "messages", /a string, expected array/, "invalid_type"),
  wrong(CHAT, { messages: [{ role: "user" }] }, "messages[0].content", /^Missing/, "missing_required_parameter"),
  wrong(
    CHAT,
    { messages: [{ role: "user", content: null }] },
    "messages[0].content",
    /^Missing/,
    "missing_required_parameter",
  ),
  wrong(
    CHAT,
    { messages: [{ role: "user", content: 5 }] },
    "messages[0].content",
    /: 5, expected array/,
    "invalid_type",
  ),
  wrong(
    CHAT,
    { messages: [{ role: "user", content: "x", name: "me" }] },
    "messages[0].name",
    /Unrecognized/,
    "unknown_parameter",
  ),
  wrong(
    CHAT,
    { messages: [{ role: "user", content: [{ type: "image_url", image_url: {} }] }] },
    "messages[0].content[0].type",
    /expected "text"/,
  ),
  wrong(CHAT, { messages, temprature: 1 }, "temprature", /supplied: temprature$/, "unknown_parameter"),
  wrong(CHAT, { messages, temperature: "1" }, "temperature", /a string, expected number\.$/, "invalid_type"),
  wrong(CHAT, { messages, temperature: 2.5 }, "temperature", /: 2\.5, expected number to be <=2\.$/),
  wrong(CHAT, { messages, top_p: 0 }, "top_p", /: 0, expected number to be >0/),
  wrong(CHAT, { messages, n: 0 }, "n", /expected number to be >=1/),
  wrong(CHAT, { messages, n: 129 }, "n", /^129 answers were requested, expected at most 128/),
  wrong(CHAT, { messages, max_tokens: 0 }, "max_tokens", />=1/),
  wrong(CHAT, { messages, seed: 1.5 }, "seed", /expected int/, "invalid_type"),
  wrong(CHAT, { messages, top_logprobs: 2 }, "top_logprobs", /needs 'logprobs'/),
  wrong(CHAT, { messages, logprobs: true, top_logprobs: 21 }, "top_logprobs", /<=20/),
  wrong(CHAT, { messages, stop: ["a", "b", "c", "d", "e"] }, "stop", /an array of 5, expected array to have <=4 items/),
  wrong(CHAT, { messages, stop: [""] }, "stop[0]", />=1/),
  wrong(CHAT, { messages, logit_bias: { x: 1 } }, "logit_bias", /no token id below 1024/),
  wrong(CHAT, { messages, logit_bias: { 5: 101 } }, "logit_bias", /from -100 to 100/),
  wrong(CHAT, { messages, logit_bias: [] }, "logit_bias", /expected an object/),
  wrong(CHAT, { messages, stream_options: { include_usage: true } }, "stream_options", /only allowed where 'stream'/),
  wrong(CHAT, { messages, tools: [] }, "tools", /'tools' is not supported/, "unsupported_parameter"),
  wrong(CHAT, { messages, functions: [] }, "functions", /not supported/, "unsupported_parameter"),
  wrong(CHAT, { messages, audio: {} }, "audio", /not supported/, "unsupported_parameter"),
  wrong(CHAT, { messages, response_format: { type: "json_object" } }, "response_format.type", /expected "text"/),
  wrong(CHAT, JSON.parse('{"messages": [], "__proto__": 1}'), "__proto__", /Unrecognized/, "unknown_parameter"),
  wrong(
    CHAT,
    { messages: chat("x ".repeat(600)) },
    "messages",
    /context length is 512 tokens, but \d+ were requested/,
    "context_length_exceeded",
  ),
  wrong(
    CHAT,
    { messages, max_tokens: 511 },
    "messages",
    /\d+ in the prompt, 511 for the answer/,
    "context_length_exceeded",
  ),
  wrong(
    CHAT,
    { messages: chat("x".repeat(2 ** 20)) },
    "messages",
    /but at least \d+ were requested \(10\d{5} bytes of text\)/,
    "context_length_exceeded",
  ),
  wrong(
    COMPLETIONS,
    { prompt: "x".repeat(2 ** 20) },
    "prompt",
    /at least \d+ were requested \(1048576 bytes/,
    "context_length_exceeded",
  ),
  wrong(COMPLETIONS, {}, "prompt", /^Missing/, "missing_required_parameter"),
  wrong(COMPLETIONS, { prompt: [] }, "prompt", /an empty list/),
  wrong(COMPLETIONS, { prompt: [[]] }, "prompt", /has no tokens/),
  wrong(COMPLETIONS, { prompt: [1, "x"] }, "prompt", /token ids/),
  wrong(COMPLETIONS, { prompt: ["x", 1] }, "prompt", /expected a text/),
  wrong(COMPLETIONS, { prompt: { a: 1 } }, "prompt", /expected a text/),
  wrong(COMPLETIONS, { prompt: [1024] }, "prompt", /below 1024/),
  wrong(COMPLETIONS, { prompt: [-1] }, "prompt", /below 1024/),
  wrong(COMPLETIONS, { prompt: Array(65).fill("x"), n: 2 }, "n", /^130 answers/),
  wrong(COMPLETIONS, { prompt: "x", max_tokens: 0 }, "max_tokens", /'echo' is not true/),
  wrong(COMPLETIONS, { prompt: "x", best_of: 2 }, "best_of", /the same as 'n', which is 1/),
  wrong(COMPLETIONS, { prompt: "x", suffix: "y" }, "suffix", /not supported/, "unsupported_parameter"),
  wrong(COMPLETIONS, { prompt: "x", logprobs: true }, "logprobs", /: true, expected number/, "invalid_type"),
  wrong(
    COMPLETIONS,
    { prompt: Array(512).fill(5), max_tokens: 1 },
    "prompt",
    /512 tokens, but 513/,
    "context_length_exceeded",
  ),
  wrong(COMPLETIONS, "[1]" as never, null, /^The body is an array of 1, expected an object/, null),
  wrong(COMPLETIONS, '{"prompt": ' as never, null, /cannot be parsed as JSON/, null),
])("%s refuses %j", async (path, fields, param, message, code) => {
  const { post, engine } = await start();
  const response = await post(path, fields);
  const body = await response.json();
  expect(body).toEqual({
    error: { message: expect.stringMatching(message), type: "invalid_request_error", param, code },
  });
  expect([response.status, engine.started]).toEqual([400, 0]);
});

test("null is as good as nothing", async () => {
  const { post, engine } = await start();
  const nothing = { tools: null, stop: null, temperature: null, response_format: null, unheard_of: null };
  expect((await post(CHAT, { messages: [{ ...messages[0], refusal: null }], max_tokens: 1, ...nothing })).status).toBe(
    200,
  );
  expect(engine.started).toBe(1);
});

test("other bodies than JSON: 415, and 400 for bytes that are no text", async () => {
  const { post, url } = await start();
  const refused = await post(CHAT, "{}", { "Content-Type": "text/plain" });
  expect([refused.status, (await errorOf(refused)).message]).toEqual([415, expect.stringMatching(/text\/plain/)]);
  expect((await post(CHAT, "{}", { "Content-Encoding": "gzip" })).status).toBe(415);
  const headers = { "Content-Type": "application/json" };
  const bytes = await fetch(`${url}${CHAT}`, { method: "POST", headers, body: Buffer.from([0x22, 0xff, 0x22]) });
  expect([bytes.status, (await errorOf(bytes)).message]).toEqual([400, expect.stringMatching(/not UTF-8/)]);
});

test("unknown routes and models: 404; other methods: 405 with those that are allowed", async () => {
  const { url, client } = await start();
  const ask = async (method: string, path: string) => {
    const response = await fetch(url + path, { method });
    return { status: response.status, allow: response.headers.get("allow"), ...(await errorOf(response)) };
  };
  expect(await ask("GET", "/v1/embeddings")).toMatchObject({ status: 404, code: "unknown_url", param: null });
  expect(await ask("GET", "/v1/models/other")).toMatchObject({ status: 404, code: "model_not_found" });
  expect(await ask("GET", CHAT)).toMatchObject({ status: 405, allow: "POST", code: "method_not_allowed" });
  expect(await ask("DELETE", "/v1/models")).toMatchObject({ status: 405, allow: "GET, HEAD" });
  expect(await ask("OPTIONS", CHAT)).toMatchObject({ status: 405 });
  const error = await client.chat.completions.create({ model: "other", messages }).catch((error) => error);
  expect(error).toBeInstanceOf(OpenAI.NotFoundError);
  expect(error).toMatchObject({ status: 404, code: "model_not_found", param: "model" });
});

test("models are listed, and found by name, with a slash too", async () => {
  const { client } = await start({ name: "maker/little" });
  const listed = [];
  for await (const model of await client.models.list()) listed.push(model);
  expect(listed).toEqual([{ id: "maker/little", object: "model", created: expect.any(Number), owned_by: "westwind" }]);
  expect(await client.models.retrieve("maker/little")).toEqual(listed[0]);
});

test("OpenAI's client throws its own classes", async () => {
  const { client, url } = await start({ apiKey: "a-long-secret", maxRequests: 1, fake: { milliseconds: 50 } });
  const ask = { model: MODEL, messages, max_tokens: 3 };
  const failed = (promise: Promise<unknown>) =>
    promise.then(
      () => undefined,
      (error) => error,
    );
  expect(await failed(client.chat.completions.create({ ...ask, temperature: 3 }))).toBeInstanceOf(
    OpenAI.BadRequestError,
  );
  const stranger = new OpenAI({ baseURL: `${url}/v1`, apiKey: "another-secret", maxRetries: 0 });
  expect(await failed(stranger.chat.completions.create(ask))).toBeInstanceOf(OpenAI.AuthenticationError);
  const [first, second] = await Promise.all([client, client].map((one) => failed(one.chat.completions.create(ask))));
  const refused = first ?? second;
  expect(refused).toBeInstanceOf(OpenAI.RateLimitError);
  expect(refused.headers.get("retry-after")).toBe("1");
  expect(refused.code).toBe("too_many_requests");
  expect([first, second]).toContain(undefined);
});

test("what a template refuses is told in its words", async () => {
  const engine = new FakeEngine(tokenizer);
  const template = new ChatTemplate("{{ raise_exception('Only users may speak here') }}", tokenizer);
  await using server = await serve({ engine, tokenizer, template }, { name: MODEL, port: 0 });
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(server.url + CHAT, { method: "POST", headers, body: JSON.stringify({ messages }) });
  expect([response.status, await errorOf(response)]).toEqual([
    400,
    expect.objectContaining({ param: "messages", message: expect.stringMatching(/Only users may speak here/) }),
  ]);
});

test.each([
  [new Error("a secret of the engine"), 500, "server_error", null],
  [new ConfigError("maxNewTokens", "0, expected a positive integer"), 400, "invalid_request_error", "max_new_tokens"],
  [new AbortedError(0, "the engine was shut down"), 503, "server_error", null],
])(
  "what the engine throws, before a stream's first event and in its middle: %s",
  async (error, status, type, param) => {
    const atOnce = await start({ fake: { failAt: 0, error } });
    const whole = await atOnce.post(CHAT, { messages });
    const refusal = await errorOf(whole);
    expect([whole.status, refusal]).toEqual([status, expect.objectContaining({ type, param })]);
    expect(JSON.stringify(refusal)).not.toMatch(/secret| at /);
    expect(atOnce.defects).toEqual(status === 500 ? [error] : []);

    const later = await start({ fake: { failAt: 2, error } });
    const stream = await later.post(CHAT, { messages, stream: true });
    const datas = (await stream.text()).trim().split("\n\n");
    expect(stream.status).toBe(200);
    expect(JSON.parse(datas.at(-1)!.replace("data: ", ""))).toEqual({ error: refusal });
    expect(later.engine.running).toBe(0);
    const seen = later.client.chat.completions.create({ model: MODEL, messages, stream: true }).then(async (chunks) => {
      for await (const _ of chunks);
    });
    await expect(seen).rejects.toThrow(OpenAI.APIError);
  },
);

test("a stream that waits for more than a second begins without an event, and what goes wrong is its last one", async () => {
  const error = new ConfigError("prompt", "too late");
  const { post, engine } = await start({ fake: { failAt: 0, error, milliseconds: 1300 } });
  const response = await post(CHAT, { messages, stream: true });
  expect([response.status, engine.running]).toEqual([200, 1]);
  const datas = (await response.text()).trim().split("\n\n");
  expect(datas.at(-1)).toMatch(/^data: \{"error":\{.*too late/);
});
