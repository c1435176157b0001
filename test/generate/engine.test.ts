import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { describe, expect, test, vi } from "vitest";

import { AbortedError, ConfigError } from "../../lib/base/errors.js";
import { Random } from "../../lib/base/random.js";
import { loadModel } from "../../lib/checkpoint/load_model.js";
import { Engine, type EngineOptions } from "../../lib/generate/engine.js";
import type { GenerationEvent, GenerationRequest } from "../../lib/generate/request.js";
import { tokenLogProbs } from "../../lib/kernels/token_log_probs.js";
import { uploadInput } from "../../lib/model/input.js";
import { Arena } from "../../lib/tensor/arena.js";
import { sharedData } from "../shared_data.js";
import { bytesOf, device, model } from "./tiny_mistral.js";

const engineOf = (options: EngineOptions = {}) => new Engine(model, { bytesOf, cacheTokens: 4096, ...options });
const promptOf = (length: number, seed = 1) => {
  const random = new Random(seed);
  return Int32Array.from({ length }, () => random.below(model.config.vocabSize));
};

type Of<Kind extends GenerationEvent["kind"]> = Extract<GenerationEvent, { kind: Kind }>;

async function collect(engine: Engine, request: GenerationRequest) {
  const events: GenerationEvent[] = [];
  for await (const event of engine.generate(request)) events.push(event);
  const of = <Kind extends GenerationEvent["kind"]>(kind: Kind) =>
    events.filter((event): event is Of<Kind> => event.kind === kind);
  const choice = (index: number) => {
    const tokens = of("token").filter((event) => event.choice === index);
    const end = of("end").find((event) => event.choice === index)!;
    return {
      ids: tokens.map(({ id }) => id),
      text: tokens.map(({ text }) => text).join("") + end.text,
      finish: end.finish,
      numTokens: end.numTokens,
      scores: tokens.map(({ score }) => score),
    };
  };
  return { events, prompt: of("prompt")[0]!, choice, ...choice(0) };
}

describe("a request", () => {
  test("tells its prompt, its tokens and its end, in this order", async () => {
    await using engine = engineOf();
    const { events, ids, text, finish, numTokens } = await collect(engine, {
      prompt: promptOf(5),
      maxNewTokens: 4,
      temperature: 0,
    });
    expect(events.map(({ kind }) => kind)).toEqual(["prompt", "token", "token", "token", "token", "end"]);
    expect([finish, numTokens, ids.length]).toEqual(["length", 4, 4]);
    expect(text).toBe(ids.map((id) => bytesOf(id)).join(""));
  });

  test("ends at a stop token, which is not part of the answer", async () => {
    await using engine = engineOf();
    const request = { prompt: promptOf(5), maxNewTokens: 12, temperature: 0 };
    const { ids } = await collect(engine, request);
    const stop = ids[3]!;
    const stopped = await collect(engine, { ...request, stopTokens: [stop] });
    expect(stopped.ids).toEqual(ids.slice(0, ids.indexOf(stop)));
    expect(stopped).toMatchObject({ finish: "stop", numTokens: ids.indexOf(stop) });
    await using eager = engineOf({ stopTokens: [stop] });
    expect(await collect(eager, request)).toMatchObject({ finish: "stop", ids: stopped.ids });
    expect((await collect(eager, { ...request, stopTokens: [] })).ids).toEqual(ids);
  });

  test("ends at a stop text, of which nothing is told", async () => {
    await using engine = engineOf();
    const request = { prompt: promptOf(5), maxNewTokens: 12, temperature: 0 };
    const { text } = await collect(engine, request);
    const stop = text.slice(3, 6);
    const stopped = await collect(engine, { ...request, stop: ["nothing of this", stop] });
    expect(stopped.finish).toBe("stop");
    expect(stopped.text).toBe(text.slice(0, text.indexOf(stop)));
    expect(stopped.numTokens).toBe(text.indexOf(stop) + 3);
  });

  test("goes on to the last position without a limit", async () => {
    await using engine = engineOf();
    const most = model.config.maxPositionEmbeddings;
    expect(engine.maxTokens).toBe(most);
    const { numTokens, finish } = await collect(engine, { prompt: promptOf(most - 7) });
    expect([numTokens, finish]).toEqual([7, "length"]);
  });

  test("gives several answers, each its own, from one pass over the prompt", async () => {
    await using engine = engineOf();
    const request = { prompt: promptOf(40), maxNewTokens: 8, choices: 3, seed: 4 };
    const { choice, prompt } = await collect(engine, request);
    const answers = [0, 1, 2].map((index) => choice(index).ids);
    expect(new Set(answers.map(String)).size).toBe(3);
    expect(prompt.cachedTokens).toBe(0);
    expect((await collect(engine, { ...request, choices: 1 })).ids).toEqual(answers[0]);
    expect((await collect(engine, request)).prompt.cachedTokens).toBe(32); // two pages of 16
  });

  test("draws another answer each time without a seed", async () => {
    await using engine = engineOf();
    const ids = async () => String((await collect(engine, { prompt: promptOf(3), maxNewTokens: 12 })).ids);
    expect(await ids()).not.toBe(await ids());
  });
});

describe("log-probabilities", () => {
  /** Of every next token, by a pass over the whole. */
  async function expectedLogProbs(ids: readonly number[]) {
    await using engine = engineOf({ sharePrefixes: false });
    const { prompt } = await collect(engine, {
      prompt: Int32Array.from(ids),
      maxNewTokens: 0,
      logprobs: 2,
      promptLogprobs: true,
    });
    return prompt.scores!;
  }

  test("of an answer's tokens are those of the same tokens in a prompt", async () => {
    await using engine = engineOf();
    const prompt = promptOf(21);
    const { ids, scores } = await collect(engine, { prompt, maxNewTokens: 9, seed: 2, logprobs: 2 });
    const expected = (await expectedLogProbs([...prompt, ...ids])).slice(prompt.length - 1);
    expect(scores).toEqual(expected);
    for (const [i, score] of scores.entries()) {
      expect(score!.id).toBe(ids[i]);
      expect(score!.bytes).toEqual(bytesOf(ids[i]!));
      expect(score!.top).toHaveLength(2);
      expect(score!.top[0]!.logprob).toBeGreaterThanOrEqual(Math.max(score!.logprob, score!.top[1]!.logprob));
    }
  });

  test("are the model's own, whatever temperature and penalties do", async () => {
    await using engine = engineOf();
    const prompt = promptOf(4);
    const plain = await collect(engine, { prompt, maxNewTokens: 1, temperature: 0, logprobs: 3 });
    const bent = { temperature: 0, logprobs: 3, repetitionPenalty: 1.5, logitBias: new Map([[7, 2]]) };
    const other = await collect(engine, { prompt, maxNewTokens: 1, ...bent });
    expect(other.scores[0]!.top).toEqual(plain.scores[0]!.top);
  });

  test("of a long prompt are the same in one step and in many, and sum to 1 over all tokens", async () => {
    const prompt = promptOf(50);
    const request = { prompt, maxNewTokens: 0, promptLogprobs: true, logprobs: model.config.vocabSize };
    await using whole = engineOf();
    await using parts = engineOf({ tokensPerStep: 7, maxSequences: 2 });
    const [one, many] = [await collect(whole, request), await collect(parts, request)];
    expect(one.prompt.scores).toHaveLength(49);
    expect(many.prompt.scores).toEqual(one.prompt.scores);
    expect([one.finish, one.numTokens]).toEqual(["length", 0]);
    for (const { top } of one.prompt.scores!) {
      expect(top.reduce((sum, { logprob }) => sum + Math.exp(logprob), 0)).toBeCloseTo(1, 5);
    }
  });
});

test.each([
  "tiny-mistral", // with a window of 8
  "tiny-llama-rope",
  "tiny-llama-bias",
])("scores of %s are those of the pass that it is trained with", async (name) => {
  using other = await loadModel(device, `test/golden/${name}`, { dtype: "f32", trainable: false });
  await using engine = new Engine(other, { cacheTokens: 512, tokensPerStep: 9, maxSequences: 2 });
  const random = new Random(5);
  const prompt = Int32Array.from({ length: 40 }, () => random.below(other.config.vocabSize));
  const { scores } = (await collect(engine, { prompt, maxNewTokens: 0, promptLogprobs: true })).prompt;

  using arena = new Arena(device);
  const positions = Int32Array.from(prompt, (_, i) => i);
  const [sequenceStart, visibleUntil] = [new Int32Array(40), new Int32Array(40).fill(40)];
  const input = uploadInput(arena, { tokens: prompt, positions, sequenceStart, visibleUntil });
  const { hidden } = other.forward(arena, input);
  const [rows, labels] = [arena.from<"N">(positions.slice(0, 39)), arena.from<"N">(prompt.slice(1))];
  const { logProbs } = tokenLogProbs(arena, { hidden, weight: other.head.value, rows, labels }, { keepLogits: false });
  (await logProbs.readFloats()).forEach((expected, i) => {
    expect(scores![i]!.logprob).toBeCloseTo(expected, 4);
  });
});

describe("many requests", () => {
  test("each get what they get alone, whatever runs beside them, is shared or set back", async () => {
    const requests = Array.from({ length: 12 }, (_, i): GenerationRequest => {
      const shared = promptOf(36);
      const prompt = i % 3 === 0 ? promptOf(1 + 7 * i, i) : Int32Array.from([...shared, ...promptOf(1 + i, i)]);
      return { prompt, maxNewTokens: 5 + 3 * i, seed: i, temperature: i % 2 === 0 ? 1.2 : 0, logprobs: 1 };
    });
    const alone: Awaited<ReturnType<typeof collect>>[] = [];
    for (const request of requests) {
      await using engine = engineOf({ sharePrefixes: false });
      alone.push(await collect(engine, request));
    }
    for (const options of [{}, { maxSequences: 5, tokensPerStep: 11 }, { cacheTokens: 176 }, { maxSequences: 1 }]) {
      await using engine = engineOf(options);
      const together = await Promise.all(requests.map((request) => collect(engine, request)));
      together.forEach(({ ids, scores }, i) => {
        expect(ids).toEqual(alone[i]!.ids);
        expect(scores).toEqual(alone[i]!.scores);
      });
      expect(engine.stats).toMatchObject({ running: 0, waiting: 0, pagesUsed: 0 });
      if ("cacheTokens" in options) expect(engine.stats.preemptions).toBeGreaterThan(0);
    }
  });

  test("are counted", async () => {
    await using engine = engineOf();
    await collect(engine, { prompt: promptOf(40), maxNewTokens: 3, temperature: 0 });
    await collect(engine, { prompt: promptOf(40), maxNewTokens: 3, temperature: 0 });
    expect(engine.stats).toMatchObject({ promptTokens: 80, cachedTokens: 32, generatedTokens: 6, pages: 256 });
    expect(engine.stats.pagesKept).toBe(2);
  });
});

describe("a request that is given up", () => {
  const long = () => ({ prompt: promptOf(8), maxNewTokens: 100, temperature: 0 });

  test("by leaving its iteration frees its pages", async () => {
    await using engine = engineOf();
    for await (const event of engine.generate({ ...long(), choices: 2 })) if (event.kind === "token") break;
    expect(engine.stats).toMatchObject({ running: 0, waiting: 0, pagesUsed: 0 });
  });

  test("by its signal ends with an AbortedError, and at once even if nobody listens", async () => {
    await using engine = engineOf();
    const controller = new AbortController();
    const events = engine.generate({ ...long(), signal: controller.signal });
    for (let i = 0; i < 4; i++) await events.next();
    controller.abort();
    expect(engine.stats.running).toBe(0);
    await expect(
      (async () => {
        for await (const _ of events);
      })(),
    ).rejects.toThrow(AbortedError);
    const aborted = engine.generate({ ...long(), signal: AbortSignal.abort() });
    await expect(aborted.next()).rejects.toThrow(new AbortedError(0, "stopped after 0 of at most 100 tokens"));
    expect((await collect(engine, { ...long(), maxNewTokens: 2 })).numTokens).toBe(2);
  });

  test("by the engine's end", async () => {
    const engine = engineOf();
    let ended: Promise<void> | undefined;
    const running = async () => {
      for await (const { kind } of engine.generate(long())) {
        if (kind === "token") ended ??= engine[Symbol.asyncDispose]();
      }
    };
    await expect(running()).rejects.toThrow("the engine was shut down");
    await ended;
    await expect(collect(engine, long())).rejects.toThrow("the engine was shut down");
  });
});

test.each<[Partial<GenerationRequest>, string]>([
  [{ prompt: new Int32Array() }, "prompt: 0 tokens, expected at least one"],
  [{ prompt: Int32Array.of(-1) }, "prompt: token -1, expected ids below"],
  [{ prompt: new Int32Array(128) }, "prompt: 128 tokens, expected fewer than"],
  [{ maxNewTokens: -1 }, "maxNewTokens: -1, expected a whole number"],
  [{ maxNewTokens: 1.5 }, "maxNewTokens: 1.5, expected a whole number"],
  [{ seed: 0.5 }, "seed: 0.5, expected a whole number"],
  [{ logitBias: new Map([[0, Number.NaN]]) }, "logitBias: NaN, expected numbers"],
  [{ choices: 0 }, "choices: 0, expected a positive integer"],
  [{ choices: 1e6 }, "choices: 1000000, expected at most 10000"],
  [{ logprobs: -1 }, "logprobs: -1, expected a whole number"],
  [{ stop: ["a", ""] }, "stop: an empty text, expected one to stop at"],
  [{ topP: 0 }, "topP: 0, expected a number above 0 and at most 1"],
])("a request with %o is refused: %s", async (options, message) => {
  await using engine = engineOf();
  const request = { prompt: promptOf(3), ...options };
  await expect(collect(engine, request)).rejects.toThrow(ConfigError);
  await expect(collect(engine, request)).rejects.toThrow(message);
  expect(engine.stats).toMatchObject({ running: 0, waiting: 0 });
});

test("a request that is given up before it begins costs no step", async () => {
  await using engine = engineOf();
  const given = collect(engine, { prompt: promptOf(8), signal: AbortSignal.abort() });
  await expect(given).rejects.toThrow(AbortedError);
  await collect(engine, { prompt: promptOf(5), maxNewTokens: 2 });
  expect(engine.stats.steps).toBe(2);
});

describe("a caller that does not read", () => {
  test("is not waited for by others, and finds its answer when it reads on", async () => {
    await using engine = engineOf({ maxSequences: 8, cacheTokens: 8 * 128 });
    const request = { prompt: promptOf(8), choices: 8, seed: 3 };
    const expected = await collect(engine, request);
    const { generatedTokens: before } = engine.stats;
    expect(before).toBe(8 * 120);
    const slow = engine.generate(request);
    const events = [(await slow.next()).value as GenerationEvent];
    await vi.waitFor(() => expect(engine.stats.running).toBe(0));
    const made = engine.stats.generatedTokens - before;
    expect(made).toBeGreaterThan(500);
    expect(made).toBeLessThan(530); // a few hundred, and what was on its way
    expect(engine.stats).toMatchObject({ waiting: 0, pagesUsed: 0 });
    await collect(engine, { prompt: promptOf(5, 3), maxNewTokens: 9 });
    for await (const event of slow) events.push(event);
    const told = (all: readonly GenerationEvent[], choice: number) =>
      all.filter((event) => event.kind === "token" && event.choice === choice);
    for (let choice = 0; choice < 8; choice++) {
      expect(told(events, choice)).toEqual(told(expected.events, choice));
    }
  });

  test("can leave", async () => {
    await using engine = engineOf();
    const slow = engine.generate({ prompt: promptOf(8), choices: 8 });
    await slow.next();
    await collect(engine, { prompt: promptOf(5, 3), maxNewTokens: 110 });
    await slow.return();
    expect(engine.stats).toMatchObject({ running: 0, waiting: 0, pagesUsed: 0 });
  });
});

describe("the cache", () => {
  test("of a scored prompt is there for others, but not for its own scores", async () => {
    await using engine = engineOf();
    const request = { prompt: promptOf(40), maxNewTokens: 2, temperature: 0, logprobs: 0, promptLogprobs: true };
    const [first, second] = [await collect(engine, request), await collect(engine, request)];
    expect(second.prompt).toEqual(first.prompt);
    expect(second.prompt.cachedTokens).toBe(0);
    expect((await collect(engine, { ...request, promptLogprobs: false })).prompt.cachedTokens).toBe(32);
  });

  test("is not shared where it may not", async () => {
    await using engine = engineOf({ sharePrefixes: false });
    const request = { prompt: promptOf(40), maxNewTokens: 2, choices: 2 };
    await collect(engine, request);
    expect((await collect(engine, request)).prompt.cachedTokens).toBe(0);
  });

  test("limits a request where it is smaller than the model", async () => {
    await using engine = engineOf({ cacheTokens: 64 });
    expect(engine.maxTokens).toBe(64);
    expect((await collect(engine, { prompt: promptOf(50) })).numTokens).toBe(14);
    await expect(collect(engine, { prompt: promptOf(64) })).rejects.toThrow(
      "expected fewer than the 64 there is room for",
    );
    expect(() => engineOf({ cacheTokens: 2 ** 40 })).toThrow(ConfigError);
  });

  test("tells nothing of a cold prompt that was set back", async () => {
    await using engine = engineOf({ cacheTokens: 112, tokensPerStep: 16, maxSequences: 2 });
    const [one, two] = [promptOf(30, 1), promptOf(70, 2)];
    const first = collect(engine, { prompt: one, maxNewTokens: 60, temperature: 0 });
    const second = await collect(engine, { prompt: two, maxNewTokens: 5, temperature: 0 });
    await first;
    expect(engine.stats.preemptions).toBeGreaterThan(0);
    expect(second.prompt.cachedTokens).toBe(0);
  });
});

test("nothing but the prompt is asked with no new tokens", async () => {
  await using engine = engineOf();
  const { events } = await collect(engine, { prompt: promptOf(9), maxNewTokens: 0 });
  expect(events).toEqual([
    { kind: "prompt", cachedTokens: 0 },
    { kind: "end", choice: 0, finish: "length", text: "", numTokens: 0 },
  ]);
});

test("what goes wrong with a request is its own", async () => {
  const spell = (id: number): Uint8Array => {
    if (id === bad) throw new Error("no such token");
    return bytesOf(id);
  };
  let bad: number | undefined;
  await using engine = engineOf({ bytesOf: spell });
  const request = { prompt: promptOf(5), maxNewTokens: 12, temperature: 0 };
  const other = { prompt: promptOf(9, 2), maxNewTokens: 12, temperature: 0 };
  const [{ ids }, expected] = [await collect(engine, request), await collect(engine, other)];
  bad = ids.find((id) => !expected.ids.includes(id));
  const [one, two] = await Promise.allSettled([collect(engine, request), collect(engine, other)]);
  expect(one).toMatchObject({ status: "rejected", reason: { message: "no such token" } });
  expect(two).toMatchObject({ status: "fulfilled", value: { ids: expected.ids } });
  expect(engine.stats).toMatchObject({ running: 0, pagesUsed: 0, hasFailed: false });
});

test("an engine ends once", async () => {
  const engine = engineOf();
  await Promise.all([engine[Symbol.asyncDispose](), engine[Symbol.asyncDispose]()]);
  await engine[Symbol.asyncDispose]();
  expect(engine.stats.hasFailed).toBe(true);
});

test("a step that fails ends every request, and the engine", async () => {
  const broken = await loadModel(device, "test/golden/tiny-mistral", { dtype: "f32", trainable: false });
  await using engine = new Engine(broken, { cacheTokens: 512 });
  const running = [1, 2].map((seed) => collect(engine, { prompt: promptOf(5, seed), maxNewTokens: 100 }));
  const ends = running.map((each) => expect(each).rejects.toThrow());
  broken[Symbol.dispose]();
  await Promise.all(ends);
  expect(engine.stats).toMatchObject({ hasFailed: true, running: 0, pagesUsed: 0 });
  const [failed] = await Promise.allSettled([running[0]]);
  const again = expect(collect(engine, { prompt: promptOf(3) })).rejects;
  await again.toBe((failed as PromiseRejectedResult).reason);
});

describe.each(["stories-260k", "tinystories-656k"])("greedy continuations of %s are transformers'", (name) => {
  const path = sharedData(`models/${name}/golden.json`);
  test.skipIf(path === undefined).each([
    ["one at a time", 1, false],
    ["one at a time, prompts shared", 1, true],
    ["sixteen together", 16, false],
    ["sixteen together, prompts shared", 16, true],
  ])("%s", async (_, maxSequences, sharePrefixes) => {
    type Golden = { greedy: { prompt_ids: number[]; output_ids: number[] }[] };
    const { greedy } = JSON.parse(readFileSync(path!, "utf8")) as Golden;
    using stories = await loadModel(device, dirname(path!), { dtype: "f32", trainable: false });
    await using engine = new Engine(stories, { maxSequences, sharePrefixes, cacheTokens: 16 * 512 });
    const all = Array.from({ length: 16 }, (_, i) => greedy[i % greedy.length]!);
    const answers = await Promise.all(
      all.map(({ prompt_ids, output_ids }) =>
        collect(engine, {
          prompt: Int32Array.from(prompt_ids),
          maxNewTokens: output_ids.length,
          temperature: 0,
          stopTokens: [],
        }),
      ),
    );
    answers.forEach(({ ids }, i) => {
      expect(ids).toEqual(all[i]!.output_ids);
    });
  });
});

test("biases and penalties change what the device draws", async () => {
  await using engine = engineOf();
  const ids = async (options: Partial<GenerationRequest>): Promise<number[]> =>
    (await collect(engine, { prompt: promptOf(5), maxNewTokens: 12, temperature: 0, ...options })).ids;
  expect(await ids({ logitBias: new Map([[7, 1e4]]) })).toEqual(Array(12).fill(7));
  expect(new Set(await ids({ presencePenalty: 1e4 })).size).toBe(12);
  expect(await ids({ logitBias: new Map([[7, 1e4]]), presencePenalty: 2e4, maxNewTokens: 2 })).not.toEqual([7, 7]);
});
