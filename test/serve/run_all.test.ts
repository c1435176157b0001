import { expect, test } from "vitest";

import { Admission } from "../../lib/serve/admission.js";
import { type PromptEvent, runAll } from "../../lib/serve/run_all.js";
import { FakeEngine } from "./fake_engine.js";
import { tokenizer } from "./start.js";

const requests = ["the goat", "a lamb", "one crow"].map((text) => ({
  prompt: tokenizer.encode(text),
  maxNewTokens: 6,
}));
const newTicket = () => new Admission({ maxRequests: 1, requestSeconds: 60 }).enter();

test("the events of each request come in their order, beside the others'", async () => {
  const engine = new FakeEngine(tokenizer);
  const told: PromptEvent[] = [];
  for await (const event of runAll(engine, requests, newTicket())) told.push(event);
  requests.forEach((request, at) => {
    const own = told.filter(({ prompt }) => prompt === at).map(({ event }) => event);
    expect(own.map(({ kind }) => kind)).toEqual(["prompt", ...Array(6).fill("token"), "end"]);
    expect(own.map((event) => ("text" in event ? event.text : "")).join("")).toBe(
      engine.textOf(request as never, 0, 6),
    );
  });
  const last = [0, 1, 2].map((at) => told.findLastIndex(({ prompt }) => prompt === at));
  expect(Math.max(...last) - Math.min(...last)).toBeLessThan(6); // none waited for another
});

test("an end of the iteration ends all requests at once", async () => {
  const engine = new FakeEngine(tokenizer, { milliseconds: 500 });
  let [numTold, begin] = [0, 0];
  for await (const _ of runAll(engine, requests, newTicket())) {
    begin = performance.now();
    if (++numTold === 2) break; // the first has been asked for its next event, which is 500 ms away
  }
  expect([engine.started, engine.running]).toEqual([3, 0]);
  expect(performance.now() - begin).toBeLessThan(300);
});

test("an error of one ends the others, and is told", async () => {
  const engine = new FakeEngine(tokenizer);
  const wrong = [...requests, { prompt: new Int32Array() }];
  const ticket = newTicket();
  const all = async (): Promise<void> => {
    for await (const _ of runAll(engine, wrong, ticket));
  };
  await expect(all()).rejects.toThrow("0 tokens");
  expect([engine.running, ticket.signal.aborted]).toEqual([0, true]);
});
