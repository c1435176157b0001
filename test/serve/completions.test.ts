import { expect, test } from "vitest";

import { MODEL, start, tokenizer } from "./start.js";

const encode = (text: string): number[] => Array.from(tokenizer.encode(text, { addSpecialTokens: true }));
const [goat, lamb] = ["the old goat", "a blue lamb played"];
const ask = { model: MODEL, max_tokens: 4, seed: 1 };

test("a prompt is a text, token ids, or a list of either; each has n answers", async () => {
  const { client, engine } = await start();
  const one = await client.completions.create({ ...ask, prompt: goat });
  expect(engine.requests[0]!.prompt).toEqual(Int32Array.from(encode(goat)));
  expect(one).toEqual({
    id: expect.stringMatching(/^cmpl-[0-9a-f]{32}$/),
    object: "text_completion",
    created: expect.any(Number),
    model: MODEL,
    system_fingerprint: null,
    choices: [{ index: 0, text: engine.textOf(engine.requests[0]!, 0, 4), logprobs: null, finish_reason: "length" }],
    usage: expect.objectContaining({ prompt_tokens: encode(goat).length, completion_tokens: 4 }),
  });
  const ids = await client.completions.create({ ...ask, prompt: encode(goat) });
  expect(ids.choices).toEqual(one.choices);

  const many = await client.completions.create({ ...ask, prompt: [goat, lamb], n: 2, best_of: 2 });
  const lists = await client.completions.create({ ...ask, prompt: [encode(goat), encode(lamb)], n: 2 });
  const [first, second] = engine.requests.slice(2);
  const texts = [first!, second!].flatMap((request) => [0, 1].map((choice) => engine.textOf(request, choice, 4)));
  expect(many.choices.map(({ index, text }) => [index, text])).toEqual(texts.map((text, index) => [index, text]));
  expect(lists.choices).toEqual(many.choices);
  expect(many.usage).toMatchObject({
    prompt_tokens: encode(goat).length + encode(lamb).length,
    completion_tokens: 16,
    prompt_tokens_details: { cached_tokens: (encode(goat).length >> 1) + (encode(lamb).length >> 1) },
  });

  const streamed = ["", "", "", ""];
  const reasons: (string | null)[] = [];
  for await (const chunk of await client.completions.create({ ...ask, prompt: [goat, lamb], n: 2, stream: true })) {
    for (const { index, text, finish_reason } of chunk.choices) {
      streamed[index] += text;
      if (finish_reason !== null) reasons.push(finish_reason);
    }
  }
  expect(streamed).toEqual(texts);
  expect(reasons).toEqual(["length", "length", "length", "length"]);
});

test("16 tokens unless told otherwise", async () => {
  const { client, engine } = await start();
  const answer = await client.completions.create({ model: MODEL, prompt: goat });
  expect([engine.requests[0]!.maxNewTokens, answer.usage!.completion_tokens]).toEqual([16, 16]);
});

test("log-probabilities in the legacy form, whole and in a stream", async () => {
  const { client } = await start();
  const { choices } = await client.completions.create({ ...ask, prompt: goat, logprobs: 2 });
  const { tokens, token_logprobs, top_logprobs, text_offset } = choices[0]!.logprobs!;
  expect(tokens!.join("")).toBe(choices[0]!.text);
  expect(token_logprobs).toEqual([-0.5, -3.25, -0.5, -3.25]);
  top_logprobs!.forEach((top, at) => void expect(top[tokens![at]!]).toBe(token_logprobs![at]));
  expect(top_logprobs!.map((top) => Object.keys(top).length)).toEqual([2, 3, 2, 3]); // the one that is there always is
  expect(text_offset).toEqual(tokens!.map((_, at) => Array.from(tokens!.slice(0, at).join("")).length));

  const parts: object[] = [];
  for await (const chunk of await client.completions.create({ ...ask, prompt: goat, logprobs: 2, stream: true })) {
    const told = chunk.choices[0]!.logprobs;
    if (!told) continue;
    parts.push([told.tokens![0], told.token_logprobs![0], told.top_logprobs![0], told.text_offset![0]]);
  }
  expect(parts).toEqual(tokens!.map((token, at) => [token, token_logprobs![at], top_logprobs![at], text_offset![at]]));
});

test.each([0, 1, 3])(
  "echo with max_tokens %i: the prompt's tokens first, the first of them without a number",
  async (max) => {
    const { client, engine } = await start();
    const prompt = [encode(goat), encode(lamb)];
    const { choices, usage } = await client.completions.create({
      ...ask,
      prompt,
      echo: true,
      logprobs: 1,
      max_tokens: max,
    });
    [goat, lamb].forEach((text, at) => {
      const { tokens, token_logprobs, top_logprobs, text_offset } = choices[at]!.logprobs!;
      const length = prompt[at]!.length;
      expect(choices[at]!.text).toBe(text + engine.textOf(engine.requests[at]!, 0, max));
      for (const list of [tokens, token_logprobs, top_logprobs, text_offset]) expect(list!.length).toBe(length + max);
      expect([token_logprobs![0], top_logprobs![0]]).toEqual([null, null]);
      expect(token_logprobs!.slice(1).every((logprob) => logprob < 0)).toBe(true);
      expect(tokens!.join("")).toBe((tokens![0] === "<s>" ? "<s>" : "") + choices[at]!.text);
      expect(text_offset!.at(-1)! + tokens!.at(-1)!.length).toBe(choices[at]!.text.length);
    });
    expect(usage!.completion_tokens).toBe(2 * max);
    expect(engine.requests[0]).toMatchObject({ promptLogprobs: true, logprobs: 1, maxNewTokens: max });
  },
);

test("one token behind a scored prompt is there even where it ends the text", async () => {
  const { client } = await start({ fake: { length: 0 } });
  const scored = { ...ask, prompt: encode(goat), echo: true, logprobs: 1, max_tokens: 1 };
  const { choices } = await client.completions.create(scored);
  expect(choices[0]!.logprobs!.tokens!.length).toBe(encode(goat).length + 1);
  const plain = await client.completions.create({ ...ask, prompt: goat });
  expect(plain.choices[0]).toMatchObject({ text: "", finish_reason: "stop" });
});

test("an echo alone, without numbers; and in a stream before the answer", async () => {
  const { client } = await start();
  const alone = await client.completions.create({ ...ask, prompt: goat, echo: true, max_tokens: 0 });
  expect(alone.choices).toEqual([{ index: 0, text: goat, logprobs: null, finish_reason: "length" }]);
  const whole = await client.completions.create({ ...ask, prompt: goat, echo: true });
  const parts: string[] = [];
  for await (const chunk of await client.completions.create({ ...ask, prompt: goat, echo: true, stream: true }))
    parts.push(chunk.choices[0]!.text);
  expect(parts[0]).toBe(goat);
  expect(parts.join("")).toBe(whole.choices[0]!.text);
});
