import { existsSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { FeedbackProgress } from "../../lib/run/feedback_progress.js";
import type { LoadTextModel } from "../../lib/run/load_engine.js";
import type { Behaviour } from "../feedback/fake_endpoint.js";
import { FakeEngine, fakeModel } from "../generate/fake_engine.js";
import { refusal } from "./collect.js";
import { Ensemble, linesOf } from "./feedback_ensemble.js";

const ensemble = new Ensemble();
const { remote, newOutput, generate, asked } = ensemble;

describe("what fails", () => {
  const refuse: Behaviour = { kind: "reply", status: 400, body: { error: { message: "not this" } } };
  const down: Behaviour = { kind: "reply", status: 503, body: { error: { message: "busy" } } };

  test("is missing in its row, told with its reason, and not asked again unless told to", async () => {
    ensemble.endpoint.behave = ({ prompt, body }) =>
      prompt === "number 3" && body.model === "a"
        ? refuse
        : { kind: "answer", text: "x", ...(prompt === "number 4" && { finish: "content_filter" }) };
    const output = newOutput();
    const keys = { models: remote("ab"), completions_per_prompt: 2 };
    const summary = await generate(output, keys);
    expect(summary).toMatchObject({ done: 40, failed: 3 });
    const failures = [
      { model: "a", reason: "held back by the endpoint's filter", count: 1 },
      { model: "b", reason: "held back by the endpoint's filter", count: 1 },
      { model: "a", reason: "a: HTTP 400: not this", count: 1 },
    ];
    expect(summary.failures).toEqual(expect.arrayContaining(failures));
    const rows = linesOf(output);
    expect(rows.map(({ completions }) => completions.length)).toEqual(rows.map((_, i) => ({ 3: 1, 4: 0 })[i] ?? 2));
    expect(rows[3]!.models.length).toBe(2);

    ensemble.endpoint.behave = () => ({ kind: "answer", text: "now" });
    expect(await generate(output, keys)).toMatchObject({ done: 40, failed: 3, continued: 40 });
    expect(ensemble.endpoint.requests.length).toBe(40);
    expect(await generate(output, keys, { retryFailed: true })).toMatchObject({ failed: 0, continued: 37 });
    expect(ensemble.endpoint.requests.length).toBe(43);
    expect(linesOf(output)[4]!.completions.map(({ response }) => response)).toEqual(["now", "now"]);
  });

  test("for a time is asked again by the next run", async () => {
    ensemble.endpoint.behave = ({ prompt }) => (prompt === "number 3" ? down : { kind: "answer", text: "x" });
    const output = newOutput();
    const keys = { models: remote("a", { tries: 2 }), completions_per_prompt: 1 };
    expect(await generate(output, keys)).toMatchObject({
      failed: 1,
      failures: [{ reason: "a: HTTP 503: busy (try 2 of 2)" }],
    });
    ensemble.endpoint.behave = () => ({ kind: "answer", text: "x" });
    expect(await generate(output, keys)).toMatchObject({ failed: 0, continued: 19 });
    expect([ensemble.endpoint.timesAsked("number 3"), ensemble.endpoint.requests.length]).toEqual([3, 22]);
  });

  test("so often in a row ends the run, and what was answered is kept", async () => {
    ensemble.endpoint.behave = ({ body }) => (body.model === "a" ? refuse : { kind: "answer", text: "x" });
    const output = newOutput();
    const keys = { models: remote("ab", { concurrency: 1 }), completions_per_prompt: 2, failures_in_a_row: 5 };
    expect(await refusal(generate(output, keys))).toBe(
      "AnswerError: a: 5 answers in a row failed, the last one: HTTP 400: not this",
    );
    expect([existsSync(output), ensemble.endpoint.requests.filter(({ body }) => body.model === "a").length]).toEqual([
      false,
      5,
    ]);
  });

  test("and so do answers that a filter held back", async () => {
    ensemble.endpoint.behave = () => ({ kind: "answer", text: "x", finish: "content_filter" });
    const keys = { models: remote("a", { concurrency: 1 }), completions_per_prompt: 1, failures_in_a_row: 5 };
    expect(await refusal(generate(newOutput(), keys))).toBe(
      "AnswerError: a: 5 answers in a row failed, the last one: held back by the endpoint's filter",
    );
    expect(ensemble.endpoint.requests.length).toBe(5);
  });

  test("with good ones between does not", async () => {
    ensemble.endpoint.behave = ({ prompt }) => (/[02468]$/.test(prompt) ? refuse : { kind: "answer", text: "x" });
    const keys = { models: remote("a", { concurrency: 1 }), completions_per_prompt: 1, failures_in_a_row: 2 };
    expect(await generate(newOutput(), keys)).toMatchObject({ failed: 10 });
  });

  test("for want of leave ends the run at once; answers on their way are kept", async () => {
    const denied: Behaviour = { kind: "reply", status: 401, body: { error: { message: "who?" } } };
    ensemble.endpoint.behave = ({ body }) => (body.model === "a" ? denied : { kind: "answer", text: "x", delay: 50 });
    const output = newOutput();
    const keys = { models: remote("ab", { concurrency: 4 }), completions_per_prompt: 2 };
    expect(await refusal(generate(output, keys))).toBe("AnswerError: a: HTTP 401: who?");
    expect(linesOf<object>(`${output}.journal`).length).toBe(5);
    expect(ensemble.endpoint.requests.filter(({ body }) => body.model === "b").length).toBe(4);

    ensemble.endpoint.behave = () => ({ kind: "answer", text: "x" });
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
    ensemble.endpoint.behave = () => ({ kind: "answer", text: "x", delay: 20 });
    const output = newOutput();
    const controller = new AbortController();
    const keys = { models: remote("abcde", { concurrency: 2 }) };
    const report = ({ done }: FeedbackProgress): void => void (done >= 15 && controller.abort());
    const message = await refusal(generate(output, keys, { report, signal: controller.signal }));
    expect(message).toMatch(
      /^AbortedError: stopped after \d\d of 60 answers; they are in .*completions\.jsonl\.journal, and the same command goes on$/,
    );
    const kept = Number(/after (\d+)/.exec(message)![1]);
    expect([kept, ensemble.endpoint.delivered.length, existsSync(output)]).toEqual([
      ensemble.endpoint.requests.length,
      kept,
      false,
    ]);

    expect(await generate(output, keys)).toMatchObject({ done: 60, continued: kept });
    expect([ensemble.endpoint.requests.length, new Set(asked()).size]).toEqual([60, 60]); // none twice
  });

  test("when all is answered is not stopped", async () => {
    const controller = new AbortController();
    const report = ({ done }: FeedbackProgress): void => void (done === 60 && controller.abort());
    expect(await generate(newOutput(), {}, { report, signal: controller.signal })).toMatchObject({ done: 60 });
  });

  test("before anything was answered leaves the journal empty", async () => {
    const output = newOutput();
    expect(await refusal(generate(output, {}, { signal: AbortSignal.abort() }))).toBe(
      "AbortedError: stopped after 0 of 60 answers",
    );
    expect([ensemble.endpoint.requests.length, linesOf<object>(`${output}.journal`).length]).toEqual([0, 1]);
  });

  test("is not gone on with in another way, but may have more prompts, another address and pace", async () => {
    const output = newOutput();
    await generate(output, { limit: 5 });
    expect(ensemble.endpoint.requests.length).toBe(15);
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
    const address = ensemble.endpoint.url.replace("127.0.0.1", "localhost");
    const models = remote("edcba", { endpoint: address, concurrency: 1, requests_per_minute: 1e6 });
    expect(await generate(output, { models })).toMatchObject({ done: 60, continued: 15 });
    expect([ensemble.endpoint.requests.length, new Set(asked()).size]).toEqual([60, 60]);
  });

  test("is not begun by a second process while it runs", async () => {
    ensemble.endpoint.behave = () => ({ kind: "answer", text: "x", delay: 30 });
    const output = newOutput();
    const running = generate(output);
    await expect.poll(() => ensemble.endpoint.requests.length).toBeGreaterThan(0);
    expect(await refusal(generate(output))).toBe(`FileError: ${output}.journal: is in use by process ${process.pid}`);
    await running;
    expect(ensemble.endpoint.requests.length).toBe(60);
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
    const before = ensemble.endpoint.requests.length;
    expect(before).toBeGreaterThan(20);
    expect(before * 0.02).toBeLessThanOrEqual(0.5);
    expect(await refusal(generate(output, { models: models(), budget: { cost: 0.5 }, principles: {} }))).toContain(
      "BudgetError",
    );
    expect(ensemble.endpoint.requests.length).toBe(before);

    const summary = await generate(output, { models: models(), budget: { cost: 2 }, principles: {} });
    expect(summary).toMatchObject({ done: 60, continued: before });
    expect(summary.cost).toBeCloseTo(60 * 0.02);
    expect([ensemble.endpoint.requests.length, new Set(asked()).size]).toEqual([60, 60]);
  });

  test("that one answer may exceed ends the run when those on their way have come", async () => {
    ensemble.endpoint.behave = () => ({ kind: "answer", text: "x", delay: 60 });
    const output = newOutput();
    const dear = remote("b", { price, max_tokens: 5000 });
    const keys = { models: [...remote("a", { price, max_tokens: 5 }), ...dear], completions_per_prompt: 2, grace: 0 };
    expect(await refusal(generate(output, { ...keys, budget: { cost: 1 } }))).toContain("BudgetError");
    expect(asked().filter((one) => one.startsWith("b"))).toEqual([]);
    expect(asked().length).toBeGreaterThan(0);
    expect(linesOf<object>(`${output}.journal`).length).toBe(1 + asked().length);
  });

  test("that is used up ends models of this machine too", async () => {
    const engine = new FakeEngine();
    const load: LoadTextModel = async () => {
      await setTimeout(20);
      return fakeModel(engine);
    };
    const keys = { models: [{ model: "m" }, ...remote("a")], budget: { tokens: 1 }, completions_per_prompt: 2 };
    expect(await refusal(generate(newOutput(), keys, { load }))).toContain("BudgetError");
    expect([engine.requests.length, ensemble.endpoint.requests.length]).toEqual([0, 0]);
  });

  test("counts tokens of what was lost, also when it is gone on with", async () => {
    ensemble.endpoint.behave = ({ times }) => (times === 1 ? { kind: "half" } : { kind: "answer", text: "x" });
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
