// The server over the engine that it is made for, with a small model of drawn weights.
import OpenAI from "openai";
import { afterAll, beforeAll, expect, test, vi } from "vitest";

import { type Completion, complete } from "../../lib/generate/complete.js";
import { Engine } from "../../lib/generate/engine.js";
import type { GenerationRequest } from "../../lib/generate/request.js";
import { readModelConfig } from "../../lib/model/config.js";
import { initialise } from "../../lib/model/init.js";
import { Llama } from "../../lib/model/llama.js";
import { type ModelServer, serve } from "../../lib/serve/serve.js";
import { Device } from "../../lib/tensor/device.js";
import { MODEL, template, tokenizer } from "./start.js";

const bytesOf = (id: number) => tokenizer.textBytesOf(id);
const stopTokens = [tokenizer.eosId!];
let device: Device;
let model: Llama;
let engine: Engine;
let server: ModelServer;
let client: OpenAI;

beforeAll(async () => {
  device = Device.cpu();
  model = new Llama(device, await readModelConfig("assets/quickstart"), { dtype: "f32", trainable: false });
  initialise(model, 1);
  engine = new Engine(model, { bytesOf, stopTokens });
  server = await serve({ engine, tokenizer, template }, { name: MODEL, port: 0 });
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await engine[Symbol.asyncDispose]();
  model[Symbol.dispose]();
  device[Symbol.dispose]();
});

const messagesOf = (content: string) => [{ role: "user" as const, content }];
const promptOf = (content: string) =>
  tokenizer.encode(template.render(messagesOf(content), { addGenerationPrompt: true }));

/** What the model answers when nothing else is asked. */
async function alone(request: GenerationRequest): Promise<Completion[]> {
  await using own = new Engine(model, { bytesOf, stopTokens, sharePrefixes: false });
  return await complete(own, request);
}

test("many clients at the same time, streamed and whole, get what each would get alone", async () => {
  const asked = Array.from({ length: 12 }, (_, i) => ({
    content: `Tell me about the ${["fox", "owl", "hen"][i % 3]} and the number ${i}.`,
    temperature: i % 4 === 0 ? 0 : 0.9,
    seed: i,
    max_tokens: 8 + i,
  }));
  const answers = await Promise.all(
    asked.map(async ({ content, ...options }, i) => {
      const body = { model: MODEL, messages: messagesOf(content), ...options };
      if (i % 2 === 0) return (await client.chat.completions.create(body)).choices[0]!.message.content;
      let text = "";
      for await (const { choices } of await client.chat.completions.create({ ...body, stream: true }))
        text += choices[0]?.delta.content ?? "";
      return text;
    }),
  );
  for (const [i, { content, temperature, seed, max_tokens }] of asked.entries()) {
    const request = { prompt: promptOf(content), temperature, seed, maxNewTokens: max_tokens };
    expect(answers[i], content).toBe((await alone(request))[0]!.text);
  }
  expect(new Set(answers).size).toBeGreaterThan(6);
});

test("choices differ and repeat by their seed", async () => {
  const body = { model: MODEL, messages: messagesOf("Good morning!"), n: 3, seed: 5, temperature: 1, max_tokens: 12 };
  const texts = (await client.chat.completions.create(body)).choices.map(({ message }) => message.content);
  const request = { prompt: promptOf("Good morning!"), choices: 3, seed: 5, temperature: 1, maxNewTokens: 12 };
  expect(texts).toEqual((await alone(request)).map(({ text }) => text));
  expect(new Set(texts).size).toBe(3);
});

test("a prompt's log-probabilities, as evaluators ask for them, are those of its tokens in any company", async () => {
  const prompts = ["The hen lives in the", "The hen lives in the barn and", "The hen"];
  const scores = await Promise.all(
    prompts.map(async (prompt) => {
      const body = { model: MODEL, prompt, echo: true, logprobs: 1, max_tokens: 1, temperature: 0 };
      return (await client.completions.create(body)).choices[0]!.logprobs!.token_logprobs!;
    }),
  );
  for (const [i, prompt] of prompts.entries()) {
    const ids = tokenizer.encode(prompt, { addSpecialTokens: true });
    const events = [];
    await using own = new Engine(model, { bytesOf, sharePrefixes: false });
    const request = { prompt: ids, promptLogprobs: true, logprobs: 1, maxNewTokens: 1, temperature: 0 };
    for await (const event of own.generate(request)) events.push(event);
    const told = events.find((event) => event.kind === "prompt")!.scores!.map(({ logprob }) => logprob);
    expect(scores[i]).toHaveLength(ids.length + 1);
    expect(scores[i]!.slice(0, ids.length)).toEqual([null, ...told]);
  }
});

test("what was scored as a prompt is answered the same afterwards, from the pages that it left", async () => {
  const prompt = "Once there was a fox that lived by the river and sang every morning until the sun was up, and then";
  const ask = async (extra: object) =>
    (await client.completions.create({ model: MODEL, prompt, max_tokens: 6, temperature: 0, ...extra })).choices[0]!;
  const scored = await ask({ echo: true, logprobs: 1 });
  const before = engine.stats.cachedTokens;
  const again = await ask({});
  expect(engine.stats.cachedTokens - before).toBeGreaterThanOrEqual(16);
  expect(prompt + again.text).toBe(scored.text);
  const last = await ask({ echo: true, logprobs: 1 });
  expect(last.logprobs).toEqual(scored.logprobs);
});

test("a client that leaves in the middle of an answer frees its pages", async () => {
  const body = { model: MODEL, messages: messagesOf("A story, please."), max_tokens: 200, stream: true as const };
  const stream = await client.chat.completions.create(body);
  for await (const { choices } of stream) if (choices[0]?.delta.content) break;
  expect(stream.controller.signal.aborted).toBe(true);
  await vi.waitFor(() => expect(engine.stats).toMatchObject({ running: 0, waiting: 0, pagesUsed: 0 }), {
    timeout: 5000,
  });
});
