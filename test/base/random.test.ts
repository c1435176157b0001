import { expect, test } from "vitest";
import { philox4x32, Random } from "../../lib/base/random.js";

const hex = (numbers: readonly number[]) => numbers.map((n) => (n >>> 0).toString(16).padStart(8, "0")).join(" ");

// The known answers that the authors of Random123 publish with it for philox4x32, 10 rounds.
test.each([
  [[0, 0, 0, 0], [0, 0], "6627e8d5 e169c58d bc57ac4c 9b00dbd8"],
  [[0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff], "408f276d 41c83b0e a20bc7c6 6d5451fd"],
  [[0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0], "d16cfe09 94fdcceb 5001e420 24126ea1"],
] as const)("philox4x32 gives the published answer for counter %o, key %o", (counter, key, answer) => {
  expect(hex(philox4x32(counter, key))).toBe(answer);
});

test("a stream is the blocks of its counter, in order", () => {
  const random = new Random(0);
  const drawn = Array.from({ length: 8 }, () => random.nextUint32());
  expect(hex(drawn)).toBe(`${hex(philox4x32([0, 0, 0, 0], [0, 0]))} ${hex(philox4x32([1, 0, 0, 0], [0, 0]))}`);
});

test("a stream continues from its state", () => {
  for (const steps of [0, 1, 3, 4, 5, 17]) {
    const whole = new Random(42, 7);
    for (let i = 0; i < steps; i++) whole.next();
    const resumed = new Random(42, 7, whole.state);
    expect([resumed.next(), resumed.normal(), resumed.below(1000)]).toEqual([
      whole.next(),
      whole.normal(),
      whole.below(1000),
    ]);
    expect(resumed.state).toBe(whole.state);
  }
});

test("seeds and streams give different numbers, also seeds above 2^32", () => {
  const firsts = [
    new Random(1),
    new Random(2),
    new Random(1, 1),
    new Random(1, 2),
    new Random(1 + 2 ** 32),
    new Random(1 + 2 ** 40),
  ].map((random) => random.nextUint32());
  expect(new Set(firsts).size).toBe(firsts.length);
});

test("uniform and normal numbers have the moments they should", () => {
  const random = new Random(3);
  const count = 20_000;
  let [sum, squares, normalSum, normalSquares] = [0, 0, 0, 0];
  for (let i = 0; i < count; i++) {
    const u = random.next();
    const z = random.normal();
    expect(u >= 0 && u < 1).toBe(true);
    sum += u;
    squares += u * u;
    normalSum += z;
    normalSquares += z * z;
  }
  expect(sum / count).toBeCloseTo(1 / 2, 1.7);
  expect(squares / count).toBeCloseTo(1 / 3, 1.7);
  expect(normalSum / count).toBeCloseTo(0, 1.3);
  expect(normalSquares / count).toBeCloseTo(1, 1.3);
});

test("below covers its range and shuffle permutes", () => {
  const random = new Random(5);
  const counts = new Int32Array(7);
  for (let i = 0; i < 7000; i++) counts[random.below(7)]!++;
  for (const n of counts) expect(Math.abs(n - 1000)).toBeLessThan(150);

  const shuffled = new Random(9).shuffle(Array.from({ length: 50 }, (_, i) => i));
  expect(shuffled).not.toEqual(shuffled.toSorted((a, b) => a - b));
  expect(shuffled.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
  expect(new Random(9).shuffle(Int32Array.from({ length: 50 }, (_, i) => i))).toEqual(Int32Array.from(shuffled));
});
