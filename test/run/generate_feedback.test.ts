import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";

import type { LoadTextModel } from "../../lib/generate/text_model.js";
import { parseFeedbackGenerate } from "../../lib/recipe/feedback_generate.js";
import type { FeedbackProgress } from "../../lib/run/feedback_progress.js";
import {
  type FeedbackSummary,
  type GenerateFeedbackOptions,
  generateFeedback,
  planFeedback,
} from "../../lib/run/generate_feedback.js";
import { type Behaviour, FakeEndpoint } from "../feedback/fake_endpoint.js";
import { FakeEngine, fakeModel } from "../generate/fake_engine.js";
import { refusal, temporaryFolder } from "./collect.js";
import { writeJsonLines } from "./small_model.js";

const folder = temporaryFolder();
let endpoint = await FakeEndpoint.start();
afterAll(() => endpoint[Symbol.asyncDispose]());
beforeEach(async () => {
  await endpoint[Symbol.asyncDispose]();
  endpoint = await FakeEndpoint.start();
});

interface Row {
  readonly prompt_id: string;
  readonly instruction: string;
  readonly models: readonly string[];
  readonly completions: readonly Record<string, string | null>[];
  readonly messages?: unknown;
}

const linesOf = <T = Row>(path: string): T[] =>
  readFileSync(path, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));

let numFiles = 0;
const newOutput = (): string => join(folder, `${numFiles++}/completions.jsonl`);
const numbers = (count: number): object[] => Array.from({ length: count }, (_, i) => ({ prompt: `number ${i}` }));
const prompts = writeJsonLines(join(folder, "prompts.jsonl"), numbers(20));

/** Models a to e behind the fake endpoint. */
const remote = (names = "abcde", keys: object = {}): object[] =>
  [...names].map((model) => ({ model, endpoint: endpoint.url, max_wait: 0, ...keys }));

const recipeOf = (output: string, keys: object = {}) => {
  const all = { prompts, output, completions_per_prompt: 3, models: remote(), ...keys };
  return parseFeedbackGenerate({ text: JSON.stringify(all) });
};
const generate = (output: string, keys: object = {}, options: GenerateFeedbackOptions = {}): Promise<FeedbackSummary> =>
  generateFeedback(recipeOf(output, keys), options);

const asked = (): string[] => endpoint.requests.map(({ body, prompt }) => `${body.model} ${prompt}`);

describe("the rows", () => {
  test("are UltraFeedback's, in the prompts' order", async () => {
    const chat = [
      { role: "system", content: "You are a pirate." },
      { role: "user", content: "a" },
      { role: "assistant", content: "b" },
      { role: "user", content: "c" },
    ];
    const rows = [{ prompt: "first", source: "evol", prompt_id: "p1" }, { messages: chat }, { instruction: "third" }];
    endpoint.behave = ({ prompt, body }) => ({
      kind: "answer",
      text: `${body.model} on ${prompt}`,
      delay: prompt === "first" ? 30 : 0,
    });
    const output = newOutput();
    const own = { name: "own", model: "x", endpoint: endpoint.url, principles: {} };
    const summary = await generate(output, {
      prompts: writeJsonLines(join(folder, "three.jsonl"), rows),
      models: [...remote("ab"), own],
      principles: { brief: { texts: ["Be brief."] } },
    });
    const completion = (model: string, prompt: string) => ({
      model,
      ...(model === "own"
        ? { principle: null, custom_system_prompt: null }
        : { principle: "brief", custom_system_prompt: "Be brief." }),
      response: `${model === "own" ? "x" : model} on ${prompt}`,
    });
    const lines = linesOf(output);
    const row = (i: number, prompt: string, others: object) => {
      const { models } = lines[i]!;
      expect(models.toSorted()).toEqual(["a", "b", "own"]);
      expect(lines[i]).toEqual({
        instruction: prompt,
        models,
        completions: models.map((model) => completion(model, prompt)),
        ...others,
      });
    };
    row(0, "first", { source: "evol", prompt_id: "p1" });
    row(1, "c", { source: null, prompt_id: lines[1]!.prompt_id, messages: chat });
    row(2, "third", { source: null, prompt_id: lines[2]!.prompt_id });
    expect(Object.keys(lines[0]!)).toEqual(["source", "prompt_id", "instruction", "models", "completions"]);
    expect(summary).toMatchObject({ prompts: 3, done: 9, total: 9, failed: 0, continued: 0, output, failures: [] });

    const system = (model: string, prompt: string) =>
      endpoint.requests.find((one) => one.body.model === model && one.prompt === prompt)!.body.messages[0]!.content;
    expect([system("a", "first"), system("x", "first")]).toEqual(["Be brief.", "first"]);
    expect([system("a", "c"), system("x", "c")]).toEqual(["You are a pirate.\n\nBe brief.", "You are a pirate."]);
  });

  test("do not depend on the order of the prompts, nor on which others there are", async () => {
    const [whole, part] = [newOutput(), newOutput()];
    await generate(whole);
    const some = numbers(20)
      .filter((_, i) => i % 3 === 0)
      .reverse();
    await generate(part, { prompts: writeJsonLines(join(folder, "some.jsonl"), some) });
    const byPrompt = new Map(linesOf(whole).map((row) => [row.instruction, row]));
    const found = linesOf(part);
    expect(found.map(({ instruction }) => instruction)).toEqual(some.map((row) => (row as { prompt: string }).prompt));
    expect(found).toEqual(found.map(({ instruction }) => byPrompt.get(instruction)));
  });

  test("may repeat a prompt, which is answered once", async () => {
    const output = newOutput();
    const same = writeJsonLines(join(folder, "same.jsonl"), [{ prompt: "x" }, { prompt: "y" }, { prompt: "x" }]);
    const { total } = await generate(output, { prompts: same });
    expect([total, endpoint.requests.length]).toEqual([6, 6]);
    expect(linesOf(output)[2]).toEqual(linesOf(output)[0]);
  });
});

test("requests have what the recipe says, and the key from the environment", async () => {
  process.env.WESTWIND_TEST_KEY = " sk-secret\n";
  const keys = {
    temperature: 0.5,
    top_p: 0.9,
    max_tokens: 7,
    stop: "\n",
    extra_body: { top_k: 5 },
    api_key_env: "WESTWIND_TEST_KEY",
  };
  const output = newOutput();
  await generate(output, {
    models: remote("a", { ...keys, send_seed: true }),
    completions_per_prompt: 1,
    limit: 1,
    principles: {},
  });
  expect(endpoint.requests[0]!.headers.authorization).toBe("Bearer sk-secret");
  expect(endpoint.requests[0]!.body).toEqual({
    ...{ model: "a", messages: [{ role: "user", content: "number 0" }], temperature: 0.5, top_p: 0.9 },
    ...{ max_tokens: 7, stop: ["\n"], top_k: 5, seed: expect.any(Number) },
  });
  for (const path of [output, `${output}.journal`]) expect(readFileSync(path, "utf8")).not.toContain("secret");

  delete process.env.WESTWIND_TEST_KEY;
  expect(await refusal(generate(newOutput(), { models: remote("a", keys), completions_per_prompt: 1 }))).toBe(
    "ConfigError: models.0.api_key_env: WESTWIND_TEST_KEY is not set in the environment, expected the endpoint's key there",
  );
  expect(endpoint.requests.length).toBe(1);
});

describe("models of this machine", () => {
  const local = (names: string): object[] => [...names].map((model) => ({ model: `folder/${model}`, threads: 1 }));

  function loading() {
    const engines = new Map<string, FakeEngine>();
    const loaded: string[] = [];
    const load: LoadTextModel = async (path) => {
      const engine = new FakeEngine();
      engines.set(path, engine);
      loaded.push(path);
      const model = fakeModel(engine);
      const { [Symbol.asyncDispose]: dispose } = model;
      return {
        ...model,
        [Symbol.asyncDispose]: async () => {
          await dispose.call(model);
          loaded.push(`end ${path}`);
        },
      };
    };
    return { engines, loaded, load };
  }

  test("are asked one after the other, each with all of its prompts at once, while endpoints are asked", async () => {
    const { engines, loaded, load } = loading();
    const output = newOutput();
    await generate(output, { models: [...local("mn"), ...remote("a")] }, { load });
    expect(loaded).toEqual(["folder/m", "end folder/m", "folder/n", "end folder/n"]);
    expect([...engines.values()].map(({ mostRunning }) => mostRunning)).toEqual([20, 20]);
    const [row] = linesOf(output);
    const { response, custom_system_prompt } = row!.completions.find(({ model }) => model === "m")!;
    expect([response, custom_system_prompt!.length > 20]).toEqual(["echo number 0", true]);
    expect(engines.get("folder/m")!.prompts[0]).toMatch(/^\[system\].+\[user\]number 0\[assistant\]$/);
  });

  test("are asked with seeds of the prompt's own", async () => {
    const [one, other] = [loading(), loading()];
    const models = local("m");
    await generate(newOutput(), { models, completions_per_prompt: 1 }, one);
    const reversed = writeJsonLines(join(folder, "reversed.jsonl"), numbers(20).reverse());
    await generate(newOutput(), { models, completions_per_prompt: 1, prompts: reversed }, other);
    const seeds = ({ engines }: typeof one) =>
      engines
        .get("folder/m")!
        .requests.map(({ seed }, i) => [engines.get("folder/m")!.prompts[i], seed])
        .sort();
    expect(seeds(one)).toEqual(seeds(other));
    expect(new Set(seeds(one).map(([, seed]) => seed)).size).toBe(20);
  });

  test("refuse a chat that is too long for them, and the others go on", async () => {
    const { load } = loading();
    const long = writeJsonLines(join(folder, "long.jsonl"), [{ prompt: "x".repeat(2000) }, { prompt: "y" }]);
    const output = newOutput();
    const summary = await generate(output, { models: local("m"), completions_per_prompt: 1, prompts: long }, { load });
    expect(summary).toMatchObject({
      done: 2,
      failed: 1,
      failures: [{ model: "m", reason: "m: prompt: no room", count: 1 }],
    });
    expect(linesOf(output).map(({ completions }) => completions.length)).toEqual([0, 1]);
  });

  test("that cannot be loaded end the run", async () => {
    const load: LoadTextModel = async () => {
      throw new Error("no such model");
    };
    expect(await refusal(generate(newOutput(), { models: [...local("m"), ...remote("ab")] }, { load }))).toBe(
      "Error: no such model",
    );
  });
});

describe("what fails", () => {
  const refuse: Behaviour = { kind: "reply", status: 400, body: { error: { message: "not this" } } };
  const down: Behaviour = { kind: "reply", status: 503, body: { error: { message: "busy" } } };

  test("is missing in its row, told with its reason, and not asked again unless told to", async () => {
    endpoint.behave = ({ prompt, body }) =>
      prompt === "number 3" && body.model === "a"
        ? refuse
        : { kind: "answer", text: "x", ...(prompt === "number 4" && { finish: "content_filter" }) };
    const output = newOutput();
    const keys = { models: remote("ab"), completions_per_prompt: 2 };
    const summary = await generate(output, keys);
    expect(summary).toMatchObject({ done: 40, failed: 3 });
    const failures = [
      { model: "a", reason: "x", count: 1 },
      { model: "b", reason: "x", count: 1 },
      { model: "a", reason: "a: HTTP 400: not this", count: 1 },
    ];
    expect(summary.failures).toEqual(expect.arrayContaining(failures));
    const rows = linesOf(output);
    expect(rows.map(({ completions }) => completions.length)).toEqual(rows.map((_, i) => ({ 3: 1, 4: 0 })[i] ?? 2));
    expect(rows[3]!.models.length).toBe(2);

    endpoint.behave = () => ({ kind: "answer", text: "now" });
    expect(await generate(output, keys)).toMatchObject({ done: 40, failed: 3, continued: 40 });
    expect(endpoint.requests.length).toBe(40);
    expect(await generate(output, keys, { retryFailed: true })).toMatchObject({ failed: 0, continued: 37 });
    expect(endpoint.requests.length).toBe(43);
    expect(linesOf(output)[4]!.completions.map(({ response }) => response)).toEqual(["now", "now"]);
  });

  test("for a time is asked again by the next run", async () => {
    endpoint.behave = ({ prompt }) => (prompt === "number 3" ? down : { kind: "answer", text: "x" });
    const output = newOutput();
    const keys = { models: remote("a", { tries: 2 }), completions_per_prompt: 1 };
    expect(await generate(output, keys)).toMatchObject({
      failed: 1,
      failures: [{ reason: "a: HTTP 503: busy (try 2 of 2)" }],
    });
    endpoint.behave = () => ({ kind: "answer", text: "x" });
    expect(await generate(output, keys)).toMatchObject({ failed: 0, continued: 19 });
    expect([endpoint.timesAsked("number 3"), endpoint.requests.length]).toEqual([3, 22]);
  });

  test("so often in a row ends the run, and what was answered is kept", async () => {
    endpoint.behave = ({ body }) => (body.model === "a" ? refuse : { kind: "answer", text: "x" });
    const output = newOutput();
    const keys = { models: remote("ab", { concurrency: 1 }), completions_per_prompt: 2, failures_in_a_row: 5 };
    expect(await refusal(generate(output, keys))).toBe("AnswerError: a: HTTP 400: not this");
    expect([existsSync(output), endpoint.requests.filter(({ body }) => body.model === "a").length]).toEqual([false, 5]);
  });

  test("with good ones between does not", async () => {
    endpoint.behave = ({ prompt }) => (/[02468]$/.test(prompt) ? refuse : { kind: "answer", text: "x" });
    const keys = { models: remote("a", { concurrency: 1 }), completions_per_prompt: 1, failures_in_a_row: 2 };
    expect(await generate(newOutput(), keys)).toMatchObject({ failed: 10 });
  });

  test("for want of leave ends the run at once; answers on their way are kept", async () => {
    const denied: Behaviour = { kind: "reply", status: 401, body: { error: { message: "who?" } } };
    endpoint.behave = ({ body }) => (body.model === "a" ? denied : { kind: "answer", text: "x", delay: 50 });
    const output = newOutput();
    const keys = { models: remote("ab", { concurrency: 4 }), completions_per_prompt: 2 };
    expect(await refusal(generate(output, keys))).toBe("AnswerError: a: HTTP 401: who?");
    expect(linesOf<object>(`${output}.journal`).length).toBe(5);
    expect(endpoint.requests.filter(({ body }) => body.model === "b").length).toBe(4);

    endpoint.behave = () => ({ kind: "answer", text: "x" });
    expect(await generate(output, keys)).toMatchObject({ done: 40, continued: 4, failed: 0 });
    const count = (key: string): number => asked().filter((one) => one === key).length;
    expect(
      new Set(
        asked()
          .filter((one) => one.startsWith("b"))
          .map(count),
      ),
    ).toEqual(new Set([1]));
  });
});

describe("a run that is stopped", () => {
  test("keeps what arrives in the grace, and is gone on with", async () => {
    endpoint.behave = () => ({ kind: "answer", text: "x", delay: 20 });
    const output = newOutput();
    const controller = new AbortController();
    const keys = { models: remote("abcde", { concurrency: 2 }) };
    const report = ({ done }: FeedbackProgress): void => void (done >= 15 && controller.abort());
    const message = await refusal(generate(output, keys, { report, signal: controller.signal }));
    expect(message).toMatch(
      /^AbortedError: stopped after \d\d of 60 answers; they are in .*completions\.jsonl\.journal, and the same command goes on$/,
    );
    const kept = Number(/after (\d+)/.exec(message)![1]);
    expect([kept, endpoint.delivered.length, existsSync(output)]).toEqual([endpoint.requests.length, kept, false]);

    expect(await generate(output, keys)).toMatchObject({ done: 60, continued: kept });
    expect([endpoint.requests.length, new Set(asked()).size]).toEqual([60, 60]); // none twice
  });

  test("before anything was answered leaves the journal empty", async () => {
    const output = newOutput();
    expect(await refusal(generate(output, {}, { signal: AbortSignal.abort() }))).toBe(
      "AbortedError: stopped after 0 of 60 answers",
    );
    expect([endpoint.requests.length, linesOf<object>(`${output}.journal`).length]).toEqual([0, 1]);
  });

  test("is not gone on with in another way, but may have more prompts, another address and pace", async () => {
    const output = newOutput();
    await generate(output, { limit: 5 });
    expect(endpoint.requests.length).toBe(15);
    const other = (keys: object) => refusal(generate(output, keys));
    const why = `with which the records of ${output}.journal were made`;
    expect(await other({ seed: 1 })).toBe(`ConfigError: seed: 1, expected 0, ${why}`);
    expect(await other({ models: remote("abcde", { temperature: 0.5 }) })).toBe(
      `ConfigError: models.a.temperature: 0.5, expected 1, ${why}`,
    );
    expect(await other({ principles: { honesty: 1 } })).toMatch(
      /^ConfigError: models\.a\.principles\.helpfulness: not set, expected /,
    );
    expect(await other({ models: remote("abcd") })).toMatch(/^ConfigError: models\.e: not set, expected /);
    const address = endpoint.url.replace("127.0.0.1", "localhost");
    const models = remote("edcba", { endpoint: address, concurrency: 1, requests_per_minute: 1e6 });
    expect(await generate(output, { models })).toMatchObject({ done: 60, continued: 15 });
    expect([endpoint.requests.length, new Set(asked()).size]).toEqual([60, 60]);
  });

  test("is not begun by a second process while it runs", async () => {
    endpoint.behave = () => ({ kind: "answer", text: "x", delay: 30 });
    const output = newOutput();
    const running = generate(output);
    await expect.poll(() => endpoint.requests.length).toBeGreaterThan(0);
    expect(await refusal(generate(output))).toBe(`FileError: ${output}.journal: is in use by process ${process.pid}`);
    await running;
    expect(endpoint.requests.length).toBe(60);
  });
});

describe("a budget", () => {
  const price = { input: 1000, output: 2000 }; // 0.02 for an answer of 10 and 5 tokens
  const models = (): object[] => remote("abc", { price, max_tokens: 5 });

  test("is not exceeded; the run ends, and goes on with a larger one", async () => {
    const output = newOutput();
    const message = await refusal(generate(output, { models: models(), budget: { cost: 0.5 }, principles: {} }));
    expect(message).toMatch(
      /^BudgetError: budget: a cost of 0\.5, of which 0\.4\d+ is spent; the next answer may take 0\.0\d+$/,
    );
    expect(existsSync(output)).toBe(false);
    const before = endpoint.requests.length;
    expect(before).toBeGreaterThan(20);
    expect(before * 0.02).toBeLessThanOrEqual(0.5);
    expect(await refusal(generate(output, { models: models(), budget: { cost: 0.5 }, principles: {} }))).toContain(
      "BudgetError",
    );
    expect(endpoint.requests.length).toBe(before);

    const summary = await generate(output, { models: models(), budget: { cost: 2 }, principles: {} });
    expect(summary).toMatchObject({ done: 60, continued: before });
    expect(summary.cost).toBeCloseTo(60 * 0.02);
    expect([endpoint.requests.length, new Set(asked()).size]).toEqual([60, 60]);
  });

  test("counts tokens of what was lost, also when it is gone on with", async () => {
    endpoint.behave = ({ times }) => (times === 1 ? { kind: "half" } : { kind: "answer", text: "x" });
    const output = newOutput();
    const keys = {
      models: remote("a", { max_tokens: 100, concurrency: 1 }),
      completions_per_prompt: 1,
      principles: {},
      limit: 2,
    };
    expect(await refusal(generate(output, { ...keys, budget: { tokens: 230 } }))).toContain("of which 126 is spent");
    const records = linesOf<Record<string, unknown>>(`${output}.journal`);
    expect(records.slice(1)).toMatchObject([{ model: "a", lost: true, completion_tokens: 100 }, { text: "x" }]);
    expect(await refusal(generate(output, { ...keys, budget: { tokens: 150 } }))).toContain("of which 126 is spent");
  });
});

describe("the plan", () => {
  test("tells what would be asked, and makes nothing", async () => {
    const output = newOutput();
    const keys = {
      models: remote("abc", { max_tokens: 100, price: { input: 1, output: 3 } }),
      principles: {},
      completions_per_prompt: 2,
    };
    const plan = await planFeedback(recipeOf(output, keys));
    expect(plan).toMatchObject({ prompts: 20, journal: `${output}.journal`, records: 0 });
    expect(plan.models.map(({ model }) => model)).toEqual(["a", "b", "c"]);
    expect(plan.models.reduce((sum, { answers }) => sum + answers, 0)).toBe(40);
    for (const { answers, prompt_tokens, most_completion_tokens, most_cost } of plan.models) {
      expect(most_completion_tokens).toBe(100 * answers);
      expect(prompt_tokens).toBeGreaterThan(10 * answers);
      expect(most_cost).toBeCloseTo((prompt_tokens + 3 * most_completion_tokens) / 1e6);
    }
    expect([endpoint.requests.length, existsSync(join(output, ".."))]).toEqual([0, false]);

    await generate(output, { ...keys, limit: 5 });
    const { models } = await planFeedback(recipeOf(output, keys));
    expect(models.map(({ answers }) => answers)).toEqual(plan.models.map(({ answers }) => answers));
    expect(models.reduce((sum, { done }) => sum + done, 0)).toBe(10);
    expect(models.map(({ most_completion_tokens }) => most_completion_tokens)).toEqual(
      models.map(({ answers, done }) => 100 * (answers - done)),
    );
    expect(await refusal(planFeedback(recipeOf(output, { ...keys, seed: 3 })))).toContain("ConfigError: seed: 3");
  });
});

test("how far it is is told for each model, with what it has spent", async () => {
  const told: FeedbackProgress[] = [];
  const keys = { models: remote("ab", { price: { input: 1000, output: 2000 } }), completions_per_prompt: 1 };
  const summary = await generate(newOutput(), keys, { report: (progress) => void told.push(progress) });
  expect(told.map(({ done }) => done)).toEqual([...Array(21).keys()]);
  expect(told.at(-1)).toMatchObject({ total: 20, failed: 0 });
  expect(summary.cost).toBeCloseTo(20 * 0.02);
  const [a, b] = summary.models as [(typeof summary.models)[0], (typeof summary.models)[0]];
  expect([a.done + b.done, a.total === a.done, a.prompt_tokens]).toEqual([20, true, 10 * a.done]);
  expect(a.cost).toBeCloseTo(a.done * 0.02);
});

test("a row that is no prompt is named before anything is asked", async () => {
  const bad = join(folder, "bad.jsonl");
  writeFileSync(bad, '{"prompt":"a"}\n{"text":"b"}\n');
  expect(await refusal(generate(newOutput(), { prompts: bad }))).toContain(
    `DataError: ${bad}:2: text; expected "messages"`,
  );
  expect(endpoint.requests.length).toBe(0);
});
