import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test, vi } from "vitest";

import type { ServedRequest } from "../../lib/serve/options.js";
import { open, request } from "./raw_client.js";
import { chat, idle, MODEL, start } from "./start.js";

const CHAT = "/v1/chat/completions";
const messages = chat("Tell me all");

test("a client that goes away in the middle of a stream frees its place at once", async () => {
  const served: ServedRequest[] = [];
  const { client, engine } = await start({
    maxRequests: 1,
    fake: { milliseconds: 5 },
    onRequest: (one) => served.push(one),
  });
  for (let turn = 0; turn < 5; turn++) {
    const stream = await client.chat.completions.create({ model: MODEL, messages, stream: true });
    let chunks = 0;
    for await (const _ of stream) if (++chunks === 4) break; // which aborts the request
    await vi.waitFor(() => expect(served.length).toBe(turn + 1), { timeout: 1000, interval: 2 });
    expect([engine.running, engine.givenUp]).toEqual([0, turn + 1]);
  }
  expect(served[0]).toMatchObject({ method: "POST", path: CHAT, status: 499 });
  expect(served[0]!.completionTokens).toBeLessThan(50);
});

test.each([
  ["while its answer is computed", { messages }],
  ["before the first event of its stream", { messages, stream: true }],
  ["of several prompts", { prompt: ["a", "b", "c"], max_tokens: 400 }],
])("a client that goes away %s ends its request", async (_, body) => {
  const { engine, url, defects } = await start({ fake: { milliseconds: 20 } });
  const socket = await open(url);
  const count = "prompt" in body ? 3 : 1;
  socket.write(request("prompt" in body ? "/v1/completions" : CHAT, body));
  await vi.waitFor(() => expect(engine.running).toBe(count), { interval: 2 });
  socket.destroy();
  const begin = performance.now();
  await idle(engine);
  expect(performance.now() - begin).toBeLessThan(1000); // 400 tokens take 8 s
  expect([engine.givenUp, defects]).toEqual([count, []]);
});

test("OpenAI's client aborts a request that is not streamed", async () => {
  const { client, engine } = await start({ fake: { milliseconds: 20 } });
  const controller = new AbortController();
  const asked = client.chat.completions.create({ model: MODEL, messages }, { signal: controller.signal });
  await vi.waitFor(() => expect(engine.running).toBe(1), { interval: 2 });
  controller.abort();
  await expect(asked).rejects.toThrow("aborted");
  await idle(engine);
  expect(engine.givenUp).toBe(1);
});

// 120 answers of 30,000 tokens are more than the sockets of both sides hold.
const flood = { prompt: "x", n: 120, max_tokens: 30_000, stream: true, logprobs: 20 };

test("a client that stops reading is cut off, and its request ends; nothing is made ahead of it", async () => {
  const { engine, url } = await start({ stallSeconds: 1, fake: { maxTokens: 32_000 } });
  const socket = await open(url);
  socket.pause();
  socket.write(request("/v1/completions", flood));
  await vi.waitFor(() => expect(engine.running).toBe(1), { interval: 2 });
  let before = -1;
  const settled = (): void => {
    const { generatedTokens } = engine.stats;
    const isSettled = generatedTokens === before;
    before = generatedTokens;
    expect(isSettled).toBe(true);
  };
  await vi.waitFor(settled, { timeout: 20_000, interval: 200 });
  expect([engine.running, before < 1_000_000]).toEqual([1, true]); // of 3.6 million tokens
  await idle(engine);
  expect(engine.givenUp).toBe(1);
  socket.destroy();
});

test("a slow client that goes on reading is not cut off", async () => {
  const { engine, url } = await start({ stallSeconds: 0.3, fake: { maxTokens: 32_000 } });
  const socket = await open(url);
  let bytes = 0;
  socket.on("data", (chunk) => {
    bytes += chunk.length;
    socket.pause();
    setTimeout(() => socket.resume(), 20);
  });
  socket.write(request("/v1/completions", flood));
  await sleep(1000);
  expect([engine.running, socket.closed]).toEqual([1, false]);
  expect(bytes).toBeGreaterThan(100_000);
  socket.destroy();
  await idle(engine);
});

test("an answer that takes longer than a stall is waited for", async () => {
  const { post } = await start({ stallSeconds: 0.1, keepAliveSeconds: 0.1, fake: { milliseconds: 300 } });
  const response = await post(CHAT, { messages, max_tokens: 2 });
  expect(response.status).toBe(200);
  await response.text();
});

test("a connection without a request is closed after a time", async () => {
  const { url } = await start({ keepAliveSeconds: 0.1, headerSeconds: 0.2 });
  const silent = await open(url);
  const used = await open(url);
  used.write("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  silent.resume();
  used.resume();
  await Promise.all([once(silent, "close"), once(used, "close")]);
});

test("a request that takes too long is ended: 504, or an error at the end of the stream", async () => {
  const { post, engine } = await start({ requestSeconds: 0.1, fake: { milliseconds: 10 } });
  const whole = await post(CHAT, { messages });
  const body = (await whole.json()) as object;
  expect([whole.status, body]).toEqual([504, { error: expect.objectContaining({ code: "request_timeout" }) }]);
  const stream = await (await post(CHAT, { messages, stream: true })).text();
  expect(JSON.parse(stream.trim().split("\n\n").at(-1)!.replace("data: ", ""))).toEqual(body);
  await idle(engine);
});
