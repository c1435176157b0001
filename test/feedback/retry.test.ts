import fc from "fast-check";
import { afterAll, expect, test } from "vitest";

import { Budget } from "../../lib/feedback/budget.js";
import { systemClock } from "../../lib/feedback/clock.js";
import { endpointModel } from "../../lib/feedback/endpoint.js";
import { backoff, readRetryAfter } from "../../lib/feedback/retry.js";
import { refusal } from "../run/collect.js";
import { FakeClock } from "./fake_clock.js";
import { FakeEndpoint } from "./fake_endpoint.js";

const waits = { firstWait: 1000, mostWait: 60_000 };

test("the limit of the waits doubles up to the most", () => {
  const limits = [1, 2, 3, 4, 5, 6, 7, 8].map((failed) => backoff(failed, undefined, waits, () => 1));
  expect(limits).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
  expect(backoff(3, undefined, waits, () => 0.25)).toBe(1000);
});

test("a wait is never shorter than asked for, unless that is more than the most", () => {
  const check = fc.property(
    fc.integer({ min: 1, max: 2000 }),
    fc.option(fc.double({ min: 0, max: 1e7, noNaN: true }), { nil: undefined }),
    fc.double({ min: 0, max: 1, noNaN: true }),
    (failed, retryAfter, draw) => {
      const wait = backoff(failed, retryAfter, waits, () => draw);
      expect(wait).toBeGreaterThanOrEqual(Math.min(60_000, retryAfter ?? 0));
      expect(wait).toBeLessThanOrEqual(60_000);
    },
  );
  fc.assert(check);
});

test("Retry-After is seconds or a date", () => {
  const now = (): number => Date.parse("2025-11-28T10:00:00Z");
  const read = (headers: Record<string, string>) => readRetryAfter(new Headers(headers), now);
  expect(read({ "retry-after": "7" })).toBe(7000);
  expect(read({ "retry-after": "0.5" })).toBe(500);
  expect(read({ "retry-after": "-3" })).toBe(0);
  expect(read({ "retry-after": "Fri, 28 Nov 2025 10:00:30 GMT" })).toBe(30_000);
  expect(read({ "retry-after": "Fri, 28 Nov 2025 09:00:00 GMT" })).toBe(0);
  expect(read({ "retry-after-ms": "12", "retry-after": "7" })).toBe(12);
  for (const nothing of ["", "soon"]) expect(read({ "retry-after": nothing })).toBeUndefined();
  expect(read({})).toBeUndefined();
});

test("a wait that is longer than timers can be is not over at once", async () => {
  expect(await refusal(systemClock.sleep(1e10, AbortSignal.timeout(20)))).toContain("AbortedError");
});

const endpoint = await FakeEndpoint.start();
afterAll(() => endpoint[Symbol.asyncDispose]());

test("an endpoint waits as long as it is asked to, and others with it", async () => {
  const clock = new FakeClock();
  const options = { url: endpoint.url, model: "m", clock, random: () => 0, concurrency: 4 };
  const model = endpointModel(options, new Budget().tally());
  const date = new Date(clock.now() + 45_000).toUTCString();
  endpoint.behave = ({ prompt, times }) => {
    const after = times > 1 ? undefined : ({ a: "30", b: date, c: "1e9" } as Record<string, string>)[prompt];
    return after === undefined
      ? { kind: "answer", text: "late" }
      : { kind: "reply", status: 429, headers: { "retry-after": after } };
  };
  const seen = async (prompt: string): Promise<number> => {
    const began = clock.now();
    let isDone = false;
    const asked = model.answer([{ role: "user", content: prompt }]).finally(() => {
      isDone = true;
    });
    while (!isDone) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      const next = clock.nextWake;
      if (next !== undefined) await clock.pass(next);
    }
    expect((await asked).text).toBe("late");
    return Math.round((clock.now() - began) / 1000);
  };
  expect(await seen("a")).toBe(30);
  expect(Math.abs((await seen("b")) - 15)).toBeLessThanOrEqual(1); // 30 of the 45 seconds have passed
  expect(await seen("c")).toBe(60); // not for ever
  expect(await seen("d")).toBe(0);

  endpoint.behave = ({ prompt, times }) =>
    prompt === "e" && times === 1
      ? { kind: "reply", status: 429, headers: { "retry-after": "30" } }
      : { kind: "answer", text: "late" };
  const ask = (content: string) => model.answer([{ role: "user", content }]);
  const first = ask("e");
  while (clock.nextWake === undefined) await new Promise((resolve) => setTimeout(resolve, 1)); // it was told to wait
  const second = ask("f");
  await clock.pass(29_000);
  expect(endpoint.timesAsked("f")).toBe(0);
  await clock.pass(1000);
  expect([(await first).text, (await second).text, endpoint.timesAsked("f")]).toEqual(["late", "late", 1]);
});
