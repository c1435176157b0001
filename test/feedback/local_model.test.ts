import { join } from "node:path";
import { describe, expect, test } from "vitest";

import { Budget } from "../../lib/feedback/budget.js";
import type { ChatOptions } from "../../lib/feedback/chat_model.js";
import { localModel } from "../../lib/feedback/local_model.js";
import { complete } from "../../lib/generate/complete.js";
import { loadEngine } from "../../lib/run/load_engine.js";
import type { Message } from "../../lib/text/chat_template.js";
import { FakeEngine, fakeModel } from "../generate/fake_engine.js";
import { refusal, temporaryFolder } from "../run/collect.js";
import { makeModel } from "../run/small_model.js";

const system = { role: "system", content: "Be brief." };
const user = { role: "user", content: "Hi" };
const bot = { role: "assistant", content: "Ho" };

describe("an answer", () => {
  test("is asked for with what is set, and told with its tokens", async () => {
    const engine = new FakeEngine();
    engine.reply = () => [..."abcdef"];
    const tally = new Budget().tally();
    const options: ChatOptions = {
      temperature: 0.5,
      topP: 0.9,
      maxTokens: 4,
      seed: 7,
      stop: ["x"],
      schema: { name: "s", schema: {} },
    };
    const answer = await localModel("m", fakeModel(engine), tally).answer([system, user], options);
    expect(answer).toEqual({ text: "abcd", finish: "length", promptTokens: 36, completionTokens: 4 });
    expect(tally.spent).toMatchObject({ promptTokens: 36, completionTokens: 4 });
    expect(engine.requests[0]).toMatchObject({ temperature: 0.5, topP: 0.9, maxNewTokens: 4, seed: 7, stop: ["x"] });
    expect(engine.prompts).toEqual(["[system]Be brief.[user]Hi[assistant]"]);
  });

  const SHOW = "[{{ m.role }}]{{ m.content }}";

  test.each([
    [
      "refuses",
      `{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no') }}{% endif %}${SHOW}{% endfor %}`,
    ],
    ["leaves out", `{% for m in messages %}{% if m.role != 'system' %}${SHOW}{% endif %}{% endfor %}`],
  ])("to what the system says finds it before the user's words where the template %s it", async (_, template) => {
    const engine = new FakeEngine();
    const model = localModel("m", fakeModel(engine, template));
    const chats: Message[][] = [[system, user, bot, user], [system, bot, user], [user]];
    for (const chat of chats) await model.answer(chat);
    expect(engine.prompts).toEqual([
      "[user]Be brief.\n\nHi[assistant]Ho[user]Hi",
      "[user]Be brief.[assistant]Ho[user]Hi",
      "[user]Hi",
    ]);
  });

  test("is refused where the template refuses the chat or it is too long, and ends with the signal", async () => {
    const model = localModel("m", fakeModel(new FakeEngine()));
    const ask = (content: string, options?: ChatOptions) => model.answer([{ role: "user", content }], options);
    const failure = await ask("refuse").catch((error) => error);
    expect([failure.name, failure.failure, failure.message]).toEqual([
      "AnswerError",
      "refused",
      "m: chat template: not this",
    ]);
    expect(await refusal(ask("x".repeat(1000)))).toBe("AnswerError: m: prompt: no room");
    expect(await refusal(ask("x", { signal: AbortSignal.abort() }))).toMatch(/^AbortedError/);
  });
});

test("log-probabilities are those with which the model answers", async () => {
  const folder = await makeModel(join(temporaryFolder(), "model"));
  await using loaded = await loadEngine(folder, { device: "cpu", threads: 1 });
  const model = localModel("m", loaded);
  const chat = [system, user];
  const prompt = loaded.tokenizer.encode(loaded.template.render(chat, { addGenerationPrompt: true }));
  // A text that is read back as the tokens it was made of.
  let found: { text: string; sum: number } | undefined;
  for (let seed = 0; found === undefined; seed++) {
    const [answer] = await complete(loaded.engine, { prompt, seed, maxNewTokens: 3, logprobs: 0, stopTokens: [] });
    const { text, scores } = answer!;
    const again = loaded.tokenizer.encode(loaded.template.render(chat, { addGenerationPrompt: true }) + text);
    const ids = [...prompt, ...scores.map(({ id }) => id)];
    if (again.join() === ids.join()) found = { text, sum: scores.reduce((sum, { logprob }) => sum + logprob, 0) };
  }
  const [sum, nothing] = await model.logProbs(chat, [found.text, ""]);
  expect(sum).toBeCloseTo(found.sum, 4);
  expect(nothing).toBe(0);
  expect(await refusal(model.logProbs(chat, ["x".repeat(5000)]))).toMatch(/^AnswerError: m: prompt: \d+ tokens/);
  expect(await refusal(model.logProbs(chat, ["a"], AbortSignal.abort()))).toMatch(/^AbortedError/);
});

test("of several, all are scored from the token in which the first of them differs", async () => {
  const engine = new FakeEngine();
  const scored: string[] = [];
  const tokenOf = (text: string): number => text.codePointAt(0)!;
  engine.generate = async function* ({ prompt }) {
    const text = String.fromCodePoint(...prompt);
    scored.push(text);
    const score = (id: number) => ({ id, bytes: new Uint8Array(), logprob: id === tokenOf("N") ? -5 : -1, top: [] });
    yield { kind: "prompt", cachedTokens: 0, scores: [...prompt.slice(1)].map(score) };
  };
  // "]y" is one token, N: it reaches across the end of the prompt.
  const model = { ...fakeModel(engine) };
  const { encode } = model.tokenizer;
  const joined = { ...model, tokenizer: { encode: (text: string) => encode(text.replace("]y", "N")) } };
  const chat = [user];
  expect(await localModel("m", joined).logProbs(chat, ["yes", "no"])).toEqual([-5 - 2, -3]);
  expect(scored).toEqual(["[user]Hi[assistantNes", "[user]Hi[assistant]no"]);
});
