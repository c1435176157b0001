import fc from "fast-check";
import { expect, test } from "vitest";

import { start } from "./start.js";

const names = [
  ...["model", "messages", "prompt", "n", "stream", "stop", "seed", "echo", "logprobs", "top_logprobs", "logit_bias"],
  ...["max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "min_p", "presence_penalty", "best_of"],
  ...["response_format", "stream_options", "user", "tools", "__proto__", "constructor"],
];
const text = fc.string({ unit: "binary" });
const short = <T>(entry: fc.Arbitrary<T>) => fc.array(entry, { maxLength: 5 });
const message = fc.record({ role: fc.constantFrom("user", "assistant", "system", "x"), content: text });

/** Values that a field may well have, and some a little beyond. */
const likely: Record<string, fc.Arbitrary<unknown>> = {
  model: fc.constantFrom("little", "large"),
  messages: short(fc.oneof(message, fc.jsonValue())),
  prompt: fc.oneof(text, short(fc.integer({ min: -2, max: 1030 })), short(text), short(short(fc.nat(1023)))),
  n: fc.integer({ min: -1, max: 4 }),
  max_tokens: fc.integer({ min: -1, max: 4 }),
  logprobs: fc.oneof(fc.boolean(), fc.integer({ min: -1, max: 21 })),
  echo: fc.boolean(),
  stream: fc.boolean(),
  stop: fc.oneof(text, short(text)),
  seed: fc.oneof(fc.integer(), fc.double()),
  temperature: fc.double({ min: -1, max: 3 }),
  logit_bias: fc.dictionary(fc.oneof(fc.string(), fc.nat(2000).map(String)), fc.double({ min: -120, max: 120 })),
};
const field = fc
  .constantFrom(...names)
  .chain((name) => fc.tuple(fc.constant(name), Object.hasOwn(likely, name) ? likely[name]! : fc.jsonValue()));
const fields = fc.array(field, { maxLength: 3 }).map((entries) => Object.fromEntries(entries));
const valid = fc.constantFrom(
  { messages: [{ role: "user", content: "x" }], max_tokens: 2 },
  { prompt: "x", max_tokens: 2 },
);
const arbitrary = fc.oneof(fc.jsonValue(), {
  arbitrary: fc.tuple(valid, fields).map(([base, others]) => ({ ...base, ...others })),
  weight: 5,
});

test("no JSON body gets status 500, and every refusal is an error object", async () => {
  const { post, engine, defects } = await start({ fake: { maxTokens: 64 } });
  const statuses = new Set<number>();
  await fc.assert(
    fc.asyncProperty(fc.constantFrom("chat/completions", "completions"), arbitrary, async (route, body) => {
      const response = await post(`/v1/${route}`, JSON.stringify(body));
      const text = await response.text();
      statuses.add(response.status);
      expect([200, 400, 404]).toContain(response.status);
      if (response.status === 200) return;
      const { error } = JSON.parse(text);
      expect(error).toEqual({
        message: expect.any(String),
        type: "invalid_request_error",
        param: error.param,
        code: error.code,
      });
    }),
    { numRuns: 600 },
  );
  expect([...statuses]).toEqual(expect.arrayContaining([200, 400])); // both were tried
  expect([defects, engine.running]).toEqual([[], 0]);
});
