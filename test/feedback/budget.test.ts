import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { Budget, type Reservation, type Tally } from "../../lib/feedback/budget.js";
import { refusal } from "../run/collect.js";

const usage = (promptTokens: number, completionTokens = 0) => ({ promptTokens, completionTokens });

/** A reservation, or undefined while it waits. */
async function peek(asked: Promise<Reservation>): Promise<Reservation | undefined> {
  let found: Reservation | undefined;
  asked.then(
    (reservation) => {
      found = reservation;
    },
    () => undefined,
  );
  await setImmediate();
  return found;
}

test("spending is counted by model, and in the price's currency", async () => {
  const budget = new Budget();
  const [dear, free] = [budget.tally({ input: 2, output: 10 }), budget.tally()];
  (await dear.reserve(usage(1000, 1000))).settle(usage(900, 100));
  dear.count(usage(100, 0));
  (await dear.reserve(usage(1e9))).release();
  (await free.reserve(usage(5, 5))).settle(usage(5, 3));
  expect(dear.spent).toEqual({ ...usage(1000, 100), cost: 0.003 });
  expect(free.spent).toEqual({ ...usage(5, 3), cost: 0 });
});

test("what is lost counts in full, and is told", async () => {
  const lost: unknown[] = [];
  const tally = new Budget().tally({ input: 1e6, output: 0 }, (usage) => lost.push(usage));
  (await tally.reserve(usage(3, 4))).lose();
  expect([tally.spent, lost]).toEqual([{ ...usage(3, 4), cost: 3 }, [usage(3, 4)]]);
});

describe("a limit", () => {
  test("lets a request wait while others may leave enough, and then go", async () => {
    const tally = new Budget({ tokens: 100 }).tally();
    const first = await tally.reserve(usage(10, 50));
    const second = tally.reserve(usage(10, 50));
    expect(await peek(second)).toBeUndefined();
    first.settle(usage(10, 30)); // 40 + 60 are 100
    expect(await peek(second)).toBeDefined();
  });

  test("ends all asking when the next could exceed it whatever the others leave", async () => {
    const budget = new Budget({ tokens: 1000 });
    const [one, other] = [budget.tally(), budget.tally()];
    const running = await one.reserve(usage(10, 500));
    one.count(usage(400));
    const message = "BudgetError: budget: 1,000 tokens, of which 400 is spent; the next answer may take 601";
    expect(await refusal(other.reserve(usage(1, 600)))).toBe(message);
    expect(await refusal(other.reserve(usage(1)))).toBe(message); // nothing more is asked
    running.settle(usage(10, 20)); // what runs finishes
    expect(one.spent).toMatchObject(usage(410, 20));
  });

  test("of money holds across models and their prices", async () => {
    const budget = new Budget({ cost: 0.01 });
    const [dear, cheap, free] = [
      budget.tally({ input: 10, output: 30 }),
      budget.tally({ input: 1, output: 1 }),
      budget.tally(),
    ];
    (await dear.reserve(usage(100, 200))).settle(usage(100, 200)); // 0.007
    (await cheap.reserve(usage(1000, 1000))).settle(usage(1000, 1000)); // 0.009
    (await free.reserve(usage(1e9))).settle(usage(1e9));
    expect(await refusal(dear.reserve(usage(20, 40)))).toBe(
      "BudgetError: budget: a cost of 0.01, of which 0.0090 is spent; the next answer may take 0.0014",
    );
  });

  test("counts what was spent before", async () => {
    const tally = new Budget({ tokens: 100 }).tally();
    tally.count(usage(60, 40));
    expect(await refusal(tally.reserve(usage(1)))).toContain("of which 100 is spent");
  });

  test("does not keep those that give up", async () => {
    const tally = new Budget({ tokens: 100 }).tally();
    const running = await tally.reserve(usage(60));
    const controller = new AbortController();
    const given = refusal(tally.reserve(usage(90), controller.signal));
    const next = tally.reserve(usage(40));
    expect(await peek(next)).toBeUndefined(); // in the order they came
    controller.abort();
    expect(await given).toBe("AbortedError: stopped before the answer");
    expect(await peek(next)).toBeDefined();
    running.release();
  });

  test("is never exceeded, and used as far as requests fit", async () => {
    const request = fc.record({
      most: fc.integer({ min: 1, max: 50 }),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    const check = fc.asyncProperty(
      fc.array(request, { maxLength: 60 }),
      fc.integer({ min: 0, max: 600 }),
      async (all, cost) => {
        const budget = new Budget({ cost });
        const price = { input: 1e6, output: 1e6 };
        const tallies = [budget.tally(price), budget.tally(price)];
        const spent = (): number => tallies.reduce((sum, tally) => sum + tally.spent.cost, 0);
        let refused: number | undefined;
        const work = async (tally: Tally, { most, share }: (typeof all)[0]): Promise<void> => {
          const reservation = await tally.reserve(usage(0, most)).catch(() => undefined);
          if (reservation === undefined) {
            refused ??= most;
            return;
          }
          await setImmediate();
          if (share < 0.1) reservation.release();
          else if (share > 0.9) reservation.lose();
          else reservation.settle(usage(0, most * share));
          expect(spent()).toBeLessThanOrEqual(cost + 1e-9);
        };
        await Promise.all(all.map((one, i) => work(tallies[i % 2]!, one)));
        if (refused !== undefined) expect(spent() + refused).toBeGreaterThan(cost - 1e-9);
      },
    );
    await fc.assert(check, { numRuns: 60 });
  });
});
