import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { FeedbackProgress } from "../../lib/run/feedback_progress.js";
import { planFeedback } from "../../lib/run/generate_feedback.js";
import type { LoadTextModel } from "../../lib/run/load_engine.js";
import { loadEngine } from "../../lib/run/load_engine.js";
import { FakeEngine, fakeModel } from "../generate/fake_engine.js";
import { refusal } from "./collect.js";
import { Ensemble, linesOf, numbers } from "./feedback_ensemble.js";
import { makeModel } from "./small_model.js";

const ensemble = new Ensemble();
const { remote, newOutput, file, recipe, generate } = ensemble;

describe("the rows", () => {
  test("are UltraFeedback's, in the prompts' order", async () => {
    const chat = [
      { role: "system", content: "You are a pirate." },
      { role: "user", content: "a" },
      { role: "assistant", content: "b" },
      { role: "user", content: "c" },
    ];
    const rows = [{ prompt: "first", source: "evol", prompt_id: "p1" }, { messages: chat }, { instruction: "third" }];
    ensemble.endpoint.behave = ({ prompt, body }) => ({
      kind: "answer",
      text: `${body.model} on ${prompt}`,
      delay: prompt === "first" ? 30 : 0,
    });
    const output = newOutput();
    const own = { name: "own", model: "x", endpoint: ensemble.endpoint.url, principles: {} };
    const summary = await generate(output, {
      prompts: file("three.jsonl", rows),
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
      ensemble.endpoint.requests.find((one) => one.body.model === model && one.prompt === prompt)!.body.messages[0]!
        .content;
    expect([system("a", "first"), system("x", "first")]).toEqual(["Be brief.", "first"]);
    expect([system("a", "c"), system("x", "c")]).toEqual(["You are a pirate.\n\nBe brief.", "You are a pirate."]);
  });

  test("do not depend on the order of the prompts, nor on which others there are", async () => {
    const [whole, part] = [newOutput(), newOutput()];
    await generate(whole);
    const some = numbers(20)
      .filter((_, i) => i % 3 === 0)
      .reverse();
    await generate(part, { prompts: file("some.jsonl", some) });
    const byPrompt = new Map(linesOf(whole).map((row) => [row.instruction, row]));
    const found = linesOf(part);
    expect(found.map(({ instruction }) => instruction)).toEqual(some.map((row) => (row as { prompt: string }).prompt));
    expect(found).toEqual(found.map(({ instruction }) => byPrompt.get(instruction)));
  });

  test("may repeat a prompt, which is answered once", async () => {
    const output = newOutput();
    const same = file("same.jsonl", [{ prompt: "x" }, { prompt: "y" }, { prompt: "x" }]);
    const { total } = await generate(output, { prompts: same });
    expect([total, ensemble.endpoint.requests.length]).toEqual([6, 6]);
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
  expect(ensemble.endpoint.requests[0]!.headers.authorization).toBe("Bearer sk-secret");
  expect(ensemble.endpoint.requests[0]!.body).toEqual({
    ...{ model: "a", messages: [{ role: "user", content: "number 0" }], temperature: 0.5, top_p: 0.9 },
    ...{ max_tokens: 7, stop: ["\n"], top_k: 5, seed: expect.any(Number) },
  });
  for (const path of [output, `${output}.journal`]) expect(readFileSync(path, "utf8")).not.toContain("secret");

  delete process.env.WESTWIND_TEST_KEY;
  expect(await refusal(generate(newOutput(), { models: remote("a", keys), completions_per_prompt: 1 }))).toBe(
    "ConfigError: models.0.api_key_env: WESTWIND_TEST_KEY is not set in the environment, expected the endpoint's key there",
  );
  expect(ensemble.endpoint.requests.length).toBe(1);
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
    expect(engines.get("folder/m")!.requests[0]).toMatchObject({ temperature: 1, topP: 1, maxNewTokens: 1024 });
    const [row] = linesOf(output);
    const { response, custom_system_prompt } = row!.completions.find(({ model }) => model === "m")!;
    expect([response, custom_system_prompt!.length > 20]).toEqual(["echo number 0", true]);
    expect(engines.get("folder/m")!.prompts[0]).toMatch(/^\[system\].+\[user\]number 0\[assistant\]$/);
  });

  test("are asked with seeds of the prompt's own", async () => {
    const [one, other] = [loading(), loading()];
    const models = local("m");
    await generate(newOutput(), { models, completions_per_prompt: 1 }, one);
    const reversed = file("reversed.jsonl", numbers(20).reverse());
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
    const long = file("long.jsonl", [{ prompt: "x".repeat(2000) }, { prompt: "y" }]);
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

test("a model of this machine gives the same answers, whether or not it was stopped", async () => {
  const folder = await makeModel(join(ensemble.folder, "small"));
  const models = [{ model: folder, max_tokens: 12, threads: 1, device: "cpu" }];
  const keys = { models, completions_per_prompt: 1, prompts: file("sixty.jsonl", numbers(60)) };
  const [whole, stopped] = [newOutput(), newOutput()];
  await generate(whole, keys);
  const controller = new AbortController();
  const load: LoadTextModel = async (...asked) => {
    const loaded = await loadEngine(...asked);
    const { engine } = loaded;
    const all = engine.generate.bind(engine);
    engine.generate = async function* (request) {
      for await (const event of all(request)) {
        if (event.kind === "end") controller.abort();
        yield event;
      }
    };
    return loaded;
  };
  expect(await refusal(generate(stopped, keys, { load, signal: controller.signal }))).toMatch(/^AbortedError/);
  const { continued, total } = await generate(stopped, keys);
  expect([continued > 0 && continued < 60, total]).toEqual([true, 60]);
  expect(readFileSync(stopped, "utf8")).toBe(readFileSync(whole, "utf8"));
  expect(new Set(linesOf(whole).map(({ completions }) => completions[0]!.response)).size).toBe(60);
});

describe("the plan", () => {
  test("tells what would be asked, and makes nothing", async () => {
    const output = newOutput();
    const keys = {
      models: remote("abc", { max_tokens: 100, price: { input: 1, output: 3 } }),
      principles: {},
      completions_per_prompt: 2,
    };
    const plan = await planFeedback(recipe(output, keys));
    expect(plan).toMatchObject({ prompts: 20, journal: `${output}.journal`, records: 0 });
    expect(plan.models.map(({ model }) => model)).toEqual(["a", "b", "c"]);
    expect(plan.models.reduce((sum, { answers }) => sum + answers, 0)).toBe(40);
    for (const { answers, prompt_tokens, most_completion_tokens, most_cost } of plan.models) {
      expect(most_completion_tokens).toBe(100 * answers);
      expect(prompt_tokens).toBeGreaterThan(10 * answers);
      expect(most_cost).toBeCloseTo((prompt_tokens + 3 * most_completion_tokens) / 1e6);
    }
    expect([ensemble.endpoint.requests.length, existsSync(join(output, ".."))]).toEqual([0, false]);

    await generate(output, { ...keys, limit: 5 });
    const { models } = await planFeedback(recipe(output, keys));
    expect(models.map(({ answers }) => answers)).toEqual(plan.models.map(({ answers }) => answers));
    expect(models.reduce((sum, { done }) => sum + done, 0)).toBe(10);
    expect(models.map(({ most_completion_tokens }) => most_completion_tokens)).toEqual(
      models.map(({ answers, done }) => 100 * (answers - done)),
    );
    expect(await refusal(planFeedback(recipe(output, { ...keys, seed: 3 })))).toContain("ConfigError: seed: 3");
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
  const bad = file("bad.jsonl", [{ prompt: "a" }, { text: "b" }]);
  expect(await refusal(generate(newOutput(), { prompts: bad }))).toContain(
    `DataError: ${bad}:2: found "text"; expected "messages"`,
  );
  expect(ensemble.endpoint.requests.length).toBe(0);
});
