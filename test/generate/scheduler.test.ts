import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Random } from "../../lib/base/random.js";
import { PagePool } from "../../lib/generate/page_pool.js";
import { Sampler } from "../../lib/generate/sampler.js";
import { Scheduler } from "../../lib/generate/scheduler.js";
import { Sequence } from "../../lib/generate/sequence.js";
import { TextStream } from "../../lib/generate/text_stream.js";

const PAGE = 4;
const sequenceOf = (prompt: readonly number[], maxNewTokens = 20, mayShare = true) => {
  const ids = Int32Array.from(prompt);
  return new Sequence(ids, maxNewTokens, new Sampler({}, ids, new Random(0)), new TextStream([]), { mayShare });
};
const numbered = (length: number, from = 0) => Array.from({ length }, (_, i) => from + i);

/** A scheduler, and a model whose next token is always the position of the one before. */
function setUp(pages: number, options: { maxSequences?: number; tokensPerStep?: number } = {}) {
  const pool = new PagePool(pages);
  const { maxSequences = 8, tokensPerStep = 16 } = options;
  const scheduler = new Scheduler(pool, { pageSize: PAGE, maxSequences, tokensPerStep });
  const step = (): [Sequence, number][] => {
    const shares = scheduler.next();
    expect(shares.reduce((sum, { count }) => sum + count, 0)).toBeLessThanOrEqual(tokensPerStep);
    for (const { sequence, count } of shares) {
      expect(sequence.pages.length * PAGE).toBeGreaterThanOrEqual(sequence.numComputed + count);
      sequence.advance(count, pool, PAGE);
      if (sequence.numPending > 0) continue;
      if (sequence.numNewTokens === sequence.maxNewTokens) scheduler.remove(sequence);
      else sequence.append(sequence.tokens.length - 1);
    }
    return shares.map(({ sequence, count }) => [sequence, count]);
  };
  return { pool, scheduler, step };
}

describe("steps", () => {
  test("take long prompts in parts, beside the answers that grow", () => {
    const { scheduler, step } = setUp(20, { tokensPerStep: 6 });
    const [short, long] = [sequenceOf([1, 2]), sequenceOf(numbered(11, 5))];
    scheduler.add(short);
    scheduler.add(long);
    expect(step()).toEqual([
      [short, 2],
      [long, 4],
    ]);
    expect(step()).toEqual([
      [short, 1],
      [long, 5],
    ]);
    expect(step()).toEqual([
      [short, 1],
      [long, 2],
    ]);
    expect(step()).toEqual([
      [short, 1],
      [long, 1],
    ]);
  });

  test("hold so many answers and no more, the first to come first", () => {
    const { scheduler, step } = setUp(20, { maxSequences: 2 });
    const all = [[1], [2], [3]].map((prompt, i) => sequenceOf(prompt, i === 0 ? 1 : 9));
    for (const sequence of all) scheduler.add(sequence);
    expect(step().map(([sequence]) => sequence)).toEqual([all[0], all[1]]);
    expect([scheduler.numRunning, scheduler.numWaiting]).toEqual([2, 1]);
    step(); // the first has its token and ends
    expect(step().map(([sequence]) => sequence)).toEqual([all[1], all[2]]);
  });

  test("end where nothing is left", () => {
    const { scheduler, step } = setUp(2);
    expect(step()).toEqual([]);
    const sequence = sequenceOf([1]);
    scheduler.add(sequence);
    scheduler.remove(sequence);
    expect(step()).toEqual([]);
  });
});

describe("prompts that begin alike", () => {
  test("share full pages, but for the last token", () => {
    const { pool, scheduler, step } = setUp(20);
    const first = sequenceOf(numbered(8));
    scheduler.add(first);
    step();
    const [same, longer, other] = [sequenceOf(numbered(8)), sequenceOf(numbered(9)), sequenceOf([9, ...numbered(7)])];
    for (const sequence of [same, longer, other]) scheduler.add(sequence);
    expect(step().slice(1)).toEqual([
      [same, 4],
      [longer, 1],
      [other, 8],
    ]);
    expect([same, longer, other].map(({ numShared }) => numShared)).toEqual([4, 8, 0]);
    expect(longer.pages.slice(0, 2)).toEqual(first.pages.slice(0, 2));
    for (const sequence of [first, same, longer, other]) scheduler.remove(sequence);
    expect(pool.available).toBe(20);
  });

  test("share what an answer left behind, too", () => {
    const { scheduler, step } = setUp(20);
    const first = sequenceOf([7, 8], 7);
    scheduler.add(first);
    while (scheduler.numRunning + scheduler.numWaiting > 0) step();
    const next = sequenceOf([...first.tokens, 1]);
    scheduler.add(next);
    step();
    expect(next.numShared).toBe(8);
  });

  test("share nothing where they may not", () => {
    const { scheduler, step } = setUp(20);
    scheduler.add(sequenceOf(numbered(9)));
    step();
    const alone = sequenceOf(numbered(9), 20, false);
    scheduler.add(alone);
    step();
    expect(alone.numShared).toBe(0);
  });
});

describe("a full cache", () => {
  test("sets back the sequence that came last, which begins again when there is room", () => {
    const { pool, scheduler, step } = setUp(5);
    const [first, second] = [sequenceOf(numbered(8), 5), sequenceOf(numbered(8, 50), 5)];
    scheduler.add(first);
    scheduler.add(second);
    step(); // two pages each, and a fifth for the first's next token
    const shares = step();
    expect(shares).toEqual([[first, 1]]);
    expect([scheduler.numPreemptions, scheduler.numWaiting]).toEqual([1, 1]);
    expect([second.numComputed, second.pages]).toEqual([0, []]);
    const grown = [...second.tokens];
    while (scheduler.numRunning + scheduler.numWaiting > 0) step();
    expect([...second.tokens].slice(0, grown.length)).toEqual(grown);
    expect(second.numNewTokens).toBe(5);
    expect(pool.available).toBe(5);
    const same = sequenceOf(second.tokens.subarray(0, 9) as unknown as number[]); // published under what is before it
    scheduler.add(same);
    step();
    expect(same.numShared).toBe(8);
  });

  test("lets a sequence that was set back run before those that came later", () => {
    const { scheduler, step } = setUp(5);
    const [first, second, third] = [sequenceOf(numbered(8), 5), sequenceOf(numbered(8, 50), 5), sequenceOf([99], 5)];
    scheduler.add(first);
    scheduler.add(second);
    step();
    step(); // the second is set back
    scheduler.add(third);
    let began: Sequence | undefined;
    while (began === undefined) began = step().find(([sequence]) => sequence !== first)?.[0];
    expect(began).toBe(second);
  });

  test("lets a prompt wait until all of it has room", () => {
    const { scheduler, step } = setUp(4);
    const [first, second] = [sequenceOf(numbered(9), 3), sequenceOf(numbered(9, 50), 3)];
    scheduler.add(first);
    scheduler.add(second);
    expect(step()).toEqual([[first, 9]]);
    expect([scheduler.numWaiting, second.pages]).toEqual([1, []]);
    while (scheduler.numRunning + scheduler.numWaiting > 0) step();
    expect(second.numNewTokens).toBe(3);
    expect(scheduler.numPreemptions).toBe(0);
  });
});

test("whatever comes, everything ends, with the tokens it would have had alone", () => {
  const request = fc.record({
    prompt: fc.array(fc.nat(2), { minLength: 1, maxLength: 14 }),
    maxNewTokens: fc.integer({ min: 1, max: 10 }),
    arrives: fc.nat(10),
    leaves: fc.option(fc.nat(20), { freq: 3 }),
  });
  const some = fc.tuple(
    fc.array(request, { minLength: 1, maxLength: 8 }),
    fc.integer({ min: 1, max: 4 }),
    fc.integer({ min: 4, max: 20 }),
    fc.integer({ min: 6, max: 12 }),
  );
  fc.assert(
    fc.property(some, ([requests, maxSequences, tokensPerStep, pages]) => {
      const { pool, scheduler, step } = setUp(pages, { maxSequences, tokensPerStep });
      const all = requests.map((each) => ({ ...each, sequence: sequenceOf(each.prompt, each.maxNewTokens) }));
      for (let time = 0; time <= 10 || scheduler.numRunning + scheduler.numWaiting > 0; time++) {
        expect(time).toBeLessThan(1000);
        for (const { arrives, leaves, sequence } of all) {
          if (arrives === time) scheduler.add(sequence);
          if (leaves !== null && arrives + leaves === time) scheduler.remove(sequence);
        }
        step();
      }
      for (const { sequence, prompt, maxNewTokens, leaves } of all) {
        if (leaves === null) expect(sequence.numNewTokens).toBe(maxNewTokens);
        const expected = [...prompt, ...numbered(sequence.numNewTokens, prompt.length - 1)];
        expect([...sequence.tokens]).toEqual(expected);
      }
      expect(pool.available).toBe(pages);
    }),
  );
});
