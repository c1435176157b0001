import fc from "fast-check";
import { expect, test } from "vitest";

import { RateLimiter, type RateLimits, type Turn } from "../../lib/feedback/rate_limit.js";
import { refusal } from "../run/collect.js";
import { FakeClock } from "./fake_clock.js";

/** Asks for turns and notes when each came; they end `lasting` milliseconds later. */
function asking(limits: RateLimits, lasting = 0) {
  const clock = new FakeClock();
  const began = clock.now();
  const limiter = new RateLimiter(limits, clock);
  const times: number[] = [];
  const ask = async (tokens: number, used = tokens): Promise<void> => {
    const turn = await limiter.turn(tokens);
    times.push(clock.now() - began);
    if (lasting > 0) await clock.sleep(lasting);
    turn.correct(used);
    turn.end();
  };
  return { clock, limiter, times, ask };
}

test("requests run so many at a time, in the order they came", async () => {
  const { clock, times, ask } = asking({ concurrency: 2 }, 100);
  for (let i = 0; i < 5; i++) void ask(1);
  await clock.pass(1000);
  expect(times).toEqual([0, 0, 100, 100, 200]);
});

test("no more requests begin in a minute than may", async () => {
  const { clock, times, ask } = asking({ concurrency: 100, requestsPerMinute: 120 });
  for (let i = 0; i < 300; i++) void ask(1);
  await clock.pass(60_000);
  expect(times.slice(0, 5)).toEqual([0, 0, 500, 1000, 1500]); // two a second
  expect(times.length).toBe(122);
});

test("few a minute are as few", async () => {
  const { clock, times, ask } = asking({ concurrency: 100, requestsPerMinute: 2 });
  for (let i = 0; i < 4; i++) void ask(1);
  await clock.pass(120_000);
  expect(times).toEqual([0, 30_000, 60_000, 90_000]);
});

test("tokens are counted by the estimate, then by what they were", async () => {
  const rate = { concurrency: 100, tokensPerMinute: 6000 }; // 100 a second
  const exact = asking(rate);
  for (let i = 0; i < 4; i++) void exact.ask(100);
  await exact.clock.pass(10_000);
  expect(exact.times).toEqual([0, 1000, 2000, 3000]);

  const fewer = asking(rate);
  for (let i = 0; i < 4; i++) void fewer.ask(100, 50);
  await fewer.clock.pass(10_000);
  expect(fewer.times).toEqual([0, 500, 1000, 1500]);

  const more = asking(rate);
  for (let i = 0; i < 3; i++) void more.ask(100, 200);
  await more.clock.pass(10_000);
  expect(more.times).toEqual([0, 2000, 4000]);
});

test("requests that last take what flows in, however far their estimates lie above what they use", async () => {
  const { clock, times, ask } = asking({ concurrency: 64, tokensPerMinute: 60_000 }, 3000);
  for (let i = 0; i < 2000; i++) void ask(1100, 200);
  await clock.pass(300_000);
  expect(times.length * 200).toBeGreaterThan(0.95 * 300_000);
  expect(times.length * 200).toBeLessThan(1.05 * 300_000);
});

test("a request that is larger than the bucket goes when it is full, and is paid off after", async () => {
  const { clock, times, ask } = asking({ concurrency: 100, tokensPerMinute: 6000 });
  for (const tokens of [500, 100, 100]) void ask(tokens);
  await clock.pass(60_000);
  expect(times).toEqual([0, 5000, 6000]);
});

test("over any time, what is taken is what flows in, and at most a second of it and one request on credit", async () => {
  const one = fc.record({
    tokens: fc.integer({ min: 1, max: 400 }),
    share: fc.double({ min: 0, max: 1.5, noNaN: true }),
  });
  const check = fc.asyncProperty(fc.array(one, { minLength: 1, maxLength: 40 }), async (requests) => {
    const clock = new FakeClock();
    const limiter = new RateLimiter({ concurrency: 100, tokensPerMinute: 6000 }, clock);
    const taken: { at: number; tokens: number }[] = [];
    for (const { tokens, share } of requests) {
      void limiter.turn(tokens).then((turn) => {
        const used = Math.round(tokens * share);
        taken.push({ at: clock.now(), tokens: used });
        turn.correct(used);
        turn.end();
      });
    }
    await clock.pass(600_000);
    expect(taken.length).toBe(requests.length);
    for (const [i, { at }] of taken.entries()) {
      const upTo = taken.slice(i).map((last, j) => [last.at - at, taken.slice(i, i + j + 1)] as const);
      for (const [milliseconds, those] of upTo) {
        const sum = those.reduce((total, { tokens }) => total + tokens, 0);
        expect(sum).toBeLessThanOrEqual(milliseconds * 0.1 + 100 + 600 + 1);
      }
    }
  });
  await fc.assert(check, { numRuns: 40 });
});

test("a pause holds all back", async () => {
  const { clock, limiter, times, ask } = asking({ concurrency: 2 });
  limiter.pause(700);
  limiter.pause(300);
  void ask(1);
  await clock.pass(1000);
  expect(times).toEqual([700]);
});

test("one that is given up lets the others pass, and leaves nothing that waits", async () => {
  const { clock, limiter, times, ask } = asking({ concurrency: 1 });
  const controller = new AbortController();
  const held: Turn = await limiter.turn(1);
  const given = refusal(limiter.turn(1, controller.signal));
  void ask(1);
  controller.abort();
  expect(await given).toBe("AbortedError: stopped before the answer");
  held.end();
  await clock.pass(10);
  expect(times.length).toBe(1);

  limiter.pause(1e6);
  const other = new AbortController();
  const last = refusal(Promise.all([limiter.turn(1, other.signal), limiter.turn(1, other.signal)]));
  await clock.pass(1);
  expect(clock.nextWake).toBeGreaterThan(1000);
  other.abort();
  await last;
  expect(clock.nextWake).toBeUndefined();
  void ask(1);
  await clock.pass(1e6);
  expect(times.length).toBe(2);
});
