import { expect, test } from "vitest";

import { AbortedError } from "../../lib/base/errors.js";
import { Random } from "../../lib/base/random.js";
import { Engine, type EngineOptions } from "../../lib/generate/engine.js";
import type { GenerationEvent, GenerationRequest } from "../../lib/generate/request.js";
import { bytesOf, model } from "./tiny_mistral.js";

/** So small a penalty that it changes no token: but every token has to be known before the next is drawn. */
const NO_RUNNING_AHEAD = 1e-30;

/** What may happen to an answer, all at once: ends of every kind, penalties, scores, choices, callers that go or tarry. */
function randomRequest(
  random: Random,
): GenerationRequest & { readonly leavesAfter?: number; readonly tarries: boolean } {
  const one = <T>(...options: T[]): T => options[random.below(options.length)]!;
  const shared = Array.from({ length: 40 }, (_, i) => (7 * i) % model.config.vocabSize);
  const own = Array.from({ length: 1 + random.below(30) }, () => random.below(model.config.vocabSize));
  const stops = Array.from({ length: 12 }, () => random.below(model.config.vocabSize));
  return {
    prompt: Int32Array.from(one([...shared.slice(0, random.below(41)), ...own], own)),
    maxNewTokens: one(0, 1, 2, 5 + random.below(40)),
    seed: random.below(1000),
    temperature: one(0, 0.8, 1.5),
    topP: one(1, 0.9),
    topK: one(0, 0, 5),
    choices: one(1, 1, 1, 3),
    stopTokens: one([], stops),
    stop: one([], [], ["ab", "q", "xyz"]),
    ...one({}, {}, { repetitionPenalty: 1.3 }, { presencePenalty: 0.5 }, { logitBias: new Map([[3, 2]]) }),
    ...one({}, {}, { logprobs: 2 }, { logprobs: 1, promptLogprobs: true }),
    ...one({}, {}, {}, { leavesAfter: random.below(20) }),
    tarries: random.below(4) === 0,
  };
}

async function answer(engine: Engine, request: ReturnType<typeof randomRequest>): Promise<GenerationEvent[]> {
  const { leavesAfter, tarries, ...rest } = request;
  const events: GenerationEvent[] = [];
  for await (const event of engine.generate(rest)) {
    events.push(event);
    if (events.length === leavesAfter) break;
    if (tarries) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return events;
}

/** Of each choice its events as text, whose differences are soon told. */
const byChoice = (events: readonly GenerationEvent[], choices: number) =>
  Array.from({ length: choices }, (_, choice) =>
    events.filter((event) => event.kind !== "prompt" && event.choice === choice).map((event) => JSON.stringify(event)),
  );

test.each([
  [1, {}],
  [2, { maxSequences: 4, tokensPerStep: 9 }],
  [3, { cacheTokens: 128, tokensPerStep: 24 }], // sequences are set back
  [4, { maxSequences: 1 }],
  [5, { sharePrefixes: false, cacheTokens: 240 }],
])(
  "answers that run ahead, %i, are those of requests that never do, one at a time: %j",
  async (seed, options: EngineOptions) => {
    const random = new Random(seed);
    const requests = Array.from({ length: 30 }, () => randomRequest(random));
    await using engine = new Engine(model, { bytesOf, cacheTokens: 4096, ...options });
    await using alone = new Engine(model, { bytesOf, cacheTokens: 4096, sharePrefixes: false, maxSequences: 1 });
    const arriving = requests.map(async (request, i) => {
      await new Promise((resolve) => setTimeout(resolve, 10 * Math.floor(i / 10)));
      return answer(engine, request);
    });
    const together = await Promise.all(arriving);
    for (const [i, request] of requests.entries()) {
      const expected = await answer(alone, { frequencyPenalty: NO_RUNNING_AHEAD, ...request, tarries: false });
      const [found, whole] = [together[i]!, byChoice(expected, request.choices!)];
      if (request.leavesAfter !== undefined) {
        const came = byChoice(found, request.choices!);
        for (const [choice, events] of came.entries()) expect(events).toEqual(whole[choice]!.slice(0, events.length));
        continue;
      }
      expect(byChoice(found, request.choices!)).toEqual(whole);
      expect(found[0]).toMatchObject({ ...expected[0], cachedTokens: expect.any(Number) });
    }
    expect(engine.stats).toMatchObject({ running: 0, waiting: 0, pagesUsed: 0, hasFailed: false });
    if (options.cacheTokens === 128) expect(engine.stats.preemptions).toBeGreaterThan(0);
  },
);

test("nothing runs ahead of the last token, nor behind a step that nobody needs", async () => {
  await using engine = new Engine(model, { bytesOf, cacheTokens: 4096 });
  for await (const _ of engine.generate({ prompt: Int32Array.of(1, 2, 3), maxNewTokens: 6, temperature: 0 }));
  expect(engine.stats.steps).toBe(6);
});

test("an answer that ends unforeseen has cost one step more, of which nothing is told", async () => {
  await using engine = new Engine(model, { bytesOf, cacheTokens: 4096 });
  const request = { prompt: Int32Array.of(1, 2, 3), maxNewTokens: 9, temperature: 0 };
  const ids: number[] = [];
  for await (const event of engine.generate(request)) if (event.kind === "token") ids.push(event.id);
  const { steps, generatedTokens } = engine.stats;
  const stop = ids.findIndex((id, i) => i > 2 && ids.indexOf(id) === i);
  for await (const _ of engine.generate({ ...request, stopTokens: [ids[stop]!] }));
  expect(engine.stats).toMatchObject({
    generatedTokens: generatedTokens + stop,
    steps: steps + stop + 2,
    pagesUsed: 0,
  });
});

test("a caller that goes while a step is on its way is not answered, and others are", async () => {
  await using engine = new Engine(model, { bytesOf, cacheTokens: 4096 });
  const gone = new AbortController();
  const request = { maxNewTokens: 60, temperature: 0 };
  const leaving = (async () => {
    for await (const event of engine.generate({ ...request, prompt: Int32Array.of(5, 6), signal: gone.signal })) {
      if (event.kind === "token") gone.abort();
    }
  })();
  const ends = expect(leaving).rejects.toThrow(AbortedError);
  const ids: number[] = [];
  for await (const event of engine.generate({ ...request, prompt: Int32Array.of(7, 8) })) {
    if (event.kind === "token") ids.push(event.id);
  }
  await ends;
  expect(ids).toHaveLength(60);
  expect(engine.stats).toMatchObject({ running: 0, pagesUsed: 0, hasFailed: false });
});

/** An answer, token by token: each of a request of its own, which has nothing to run ahead of. */
async function oneByOne(engine: Engine, { prompt, maxNewTokens, ...options }: GenerationRequest): Promise<number[]> {
  const ids: number[] = [];
  while (ids.length < maxNewTokens!) {
    const request = { ...options, prompt: Int32Array.of(...prompt, ...ids), maxNewTokens: 1 };
    for await (const event of engine.generate(request)) if (event.kind === "token") ids.push(event.id);
  }
  return ids;
}

test.each([{}, { repetitionPenalty: 4 }, { repetitionPenalty: 0.5, logitBias: new Map([[9, 1]]) }])(
  "the likeliest tokens with %j are those of one request for each",
  async (options) => {
    await using engine = new Engine(model, { bytesOf, cacheTokens: 4096 });
    const request = { prompt: Int32Array.of(1, 2, 3), maxNewTokens: 40, temperature: 0, stopTokens: [], ...options };
    const whole: number[] = [];
    const beside = answer(engine, { prompt: Int32Array.of(4), maxNewTokens: 50, temperature: 0, tarries: false });
    for await (const event of engine.generate(request)) if (event.kind === "token") whole.push(event.id);
    await beside;
    expect(whole).toEqual(await oneByOne(engine, request));
  },
);

test("a page of the cache is not taken for what it does not hold", async () => {
  await using engine = new Engine(model, { bytesOf, cacheTokens: 4096 });
  await using other = new Engine(model, { bytesOf, cacheTokens: 4096, sharePrefixes: false });
  const prompt = Int32Array.from({ length: 10 }, (_, i) => i + 5);
  const greedy = { maxNewTokens: 23, temperature: 0, stopTokens: [] };
  const ids = (await answer(engine, { ...greedy, prompt, tarries: false })).flatMap((e) =>
    e.kind === "token" ? [e.id] : [],
  );
  for (const last of [ids[5]!, 0]) {
    // The sixth token of the answer is the last of the first page.
    const request = { ...greedy, prompt: Int32Array.of(...prompt, ...ids.slice(0, 5), last, 1), tarries: false };
    const [found, expected] = [await answer(engine, request), await answer(other, request)];
    expect(found.slice(1)).toEqual(expected.slice(1));
    expect(found[0]).toMatchObject({ cachedTokens: last === ids[5] ? 16 : 0 });
  }
  const again = await answer(engine, { ...greedy, prompt: Int32Array.of(...prompt, ...ids), tarries: false });
  expect(again[0]).toMatchObject({ cachedTokens: 32 }); // all but the last of the 33, which is in no page yet
});
