import { expect, test } from "vitest";

import { chat, MODEL, start, template, tokenizer } from "./start.js";

const ask = { model: MODEL, messages: chat("Good morning!"), max_completion_tokens: 5, seed: 3 };
const PROMPT = tokenizer.encode(template.render(ask.messages, { addGenerationPrompt: true }));

test("a chat is answered with text, a reason to end and its tokens counted", async () => {
  const { client, engine } = await start();
  const answer = await client.chat.completions.create(ask);
  const [request] = engine.requests;
  expect(request!.prompt).toEqual(PROMPT);
  expect(answer).toEqual({
    id: expect.stringMatching(/^chatcmpl-[0-9a-f]{32}$/),
    object: "chat.completion",
    created: expect.any(Number),
    model: MODEL,
    system_fingerprint: null,
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: engine.textOf(request!, 0, 5), refusal: null },
        logprobs: null,
        finish_reason: "length",
      },
    ],
    usage: {
      prompt_tokens: PROMPT.length,
      completion_tokens: 5,
      total_tokens: PROMPT.length + 5,
      prompt_tokens_details: { cached_tokens: PROMPT.length >> 1 },
    },
  });
  expect(Math.abs(answer.created - Date.now() / 1000)).toBeLessThan(60);
});

test("a stream says the same, framed as events: the role first, the reason, the usage, [DONE]", async () => {
  const { client, post, engine } = await start();
  const whole = await client.chat.completions.create(ask);
  const response = await post("/v1/chat/completions", {
    ...ask,
    stream: true,
    stream_options: { include_usage: true },
  });
  expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  const text = await response.text();
  const datas = text.split("\n\n").map((event) => event.replace(/^data: /, ""));
  expect(text).toBe(
    `${datas
      .slice(0, -1)
      .map((data) => `data: ${data}\n\n`)
      .join("")}`,
  );
  expect(datas.slice(-2)).toEqual(["[DONE]", ""]);
  const chunks = datas.slice(0, -2).map((data) => JSON.parse(data));
  expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  expect(chunks[0]).toEqual({
    id: expect.stringMatching(/^chatcmpl-/),
    object: "chat.completion.chunk",
    created: expect.any(Number),
    model: MODEL,
    system_fingerprint: null,
    choices: [{ index: 0, delta: { role: "assistant", content: "" }, logprobs: null, finish_reason: null }],
    usage: null,
  });
  const middle = chunks.slice(1, -2);
  expect(middle.every(({ choices, usage }) => choices[0].finish_reason === null && usage === null)).toBe(true);
  expect(middle.map(({ choices }) => choices[0].delta.content).join("")).toBe(whole.choices[0]!.message.content);
  expect(chunks.at(-2).choices).toEqual([{ index: 0, delta: {}, logprobs: null, finish_reason: "length" }]);
  expect(chunks.at(-1)).toMatchObject({ choices: [], usage: whole.usage });
  expect(engine.running).toBe(0);
});

test("OpenAI's client reads a stream of several answers; without include_usage nothing is said of usage", async () => {
  const { client, engine } = await start();
  const texts = ["", "", ""];
  const reasons: (string | null)[] = [];
  for await (const chunk of await client.chat.completions.create({ ...ask, n: 3, stream: true })) {
    expect(chunk).not.toHaveProperty("usage");
    for (const { index, delta, finish_reason } of chunk.choices) {
      texts[index] += delta.content ?? "";
      if (finish_reason) reasons.push(finish_reason);
    }
  }
  expect(texts).toEqual([0, 1, 2].map((choice) => engine.textOf(engine.requests[0]!, choice, 5)));
  expect(new Set(texts).size).toBe(3);
  expect(reasons).toEqual(["length", "length", "length"]);
  const whole = await client.chat.completions.create({ ...ask, n: 3 });
  expect(whole.choices.map(({ message }) => message.content)).toEqual(texts);
  expect(whole.usage).toMatchObject({ prompt_tokens: PROMPT.length, completion_tokens: 15 });
});

test("log-probabilities, whole and streamed", async () => {
  const { client } = await start();
  const logged = { ...ask, logprobs: true, top_logprobs: 2 };
  const whole = await client.chat.completions.create(logged);
  const content = whole.choices[0]!.logprobs!.content!;
  expect(content.map(({ token }) => token).join("")).toBe(whole.choices[0]!.message.content);
  expect(content.map(({ logprob }) => logprob)).toEqual([-0.5, -3.25, -0.5, -3.25, -0.5]);
  for (const { token, bytes, top_logprobs } of content) {
    expect(Buffer.from(bytes!).toString()).toBe(token);
    expect(top_logprobs.length).toBe(2);
    expect(top_logprobs[0]!.logprob).toBeGreaterThan(top_logprobs[1]!.logprob);
  }
  const streamed: unknown[] = [];
  for await (const chunk of await client.chat.completions.create({ ...logged, stream: true }))
    streamed.push(...(chunk.choices[0]!.logprobs?.content ?? []));
  expect(streamed).toEqual(content);
  const without = await client.chat.completions.create({ ...ask, logprobs: true });
  expect(without.choices[0]!.logprobs!.content![0]!.top_logprobs).toEqual([]);
});

test("options reach the engine; what nothing is done about is accepted", async () => {
  const { client, engine, post } = await start();
  const options = {
    ...{ temperature: 0.5, top_p: 0.9, top_k: 40, min_p: 0.05, repetition_penalty: 1.1, presence_penalty: 1 },
    ...{ frequency_penalty: -1, logit_bias: { "5": -100, "7": 2 }, stop: ["\n", "END"], max_tokens: 9 },
    ...{ user: "someone", metadata: { a: "b" }, store: false, service_tier: "auto", response_format: { type: "text" } },
  };
  await client.chat.completions.create({ ...ask, ...options } as typeof ask);
  expect(engine.requests[0]).toMatchObject({
    ...{ temperature: 0.5, topP: 0.9, topK: 40, minP: 0.05, repetitionPenalty: 1.1, presencePenalty: 1 },
    ...{ frequencyPenalty: -1, stop: ["\n", "END"], maxNewTokens: 5, seed: 3, choices: 1 },
    logitBias: new Map([
      [5, -100],
      [7, 2],
    ]),
  });
  await post("/v1/chat/completions", { messages: ask.messages, max_tokens: 9 });
  expect(engine.requests[1]).toMatchObject({ maxNewTokens: 9, temperature: undefined });
  expect(engine.requests[1]).not.toHaveProperty("logprobs");
  await client.chat.completions.create({ ...ask, max_completion_tokens: null, stop: null, n: null });
  expect(engine.requests[2]!.maxNewTokens).toBe(512 - PROMPT.length); // all that is left
});

test("a stop text ends an answer and is no part of it", async () => {
  const { client, engine } = await start();
  await client.chat.completions.create({ ...ask, max_completion_tokens: 30 });
  const text = engine.textOf(engine.requests[0]!, 0, 30);
  const stop = text.slice(10, 13);
  const cut = await client.chat.completions.create({ ...ask, max_completion_tokens: 30, stop });
  expect(cut.choices[0]).toMatchObject({
    message: { content: text.slice(0, text.indexOf(stop)) },
    finish_reason: "stop",
  });
});

test("text parts are one text, an earlier answer may be sent back, and the model's own end is a stop", async () => {
  const { client, engine } = await start({ fake: { length: 3 } });
  const parts = [
    { type: "text" as const, text: "Good " },
    { type: "text" as const, text: "morning!" },
  ];
  const answer = await client.chat.completions.create({ ...ask, messages: [{ role: "user", content: parts }] });
  expect(engine.requests[0]!.prompt).toEqual(PROMPT);
  expect(answer.choices[0]!.finish_reason).toBe("stop");
  expect(answer.usage!.completion_tokens).toBe(3);
  const next = [...ask.messages, answer.choices[0]!.message, ...chat("And now?")];
  await client.chat.completions.create({ ...ask, messages: next });
  expect(engine.requests[1]!.prompt.length).toBeGreaterThan(PROMPT.length);
});
