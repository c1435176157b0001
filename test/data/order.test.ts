import { expect, test } from "vitest";
import { batchesOf, epochOrder } from "../../lib/data/order.js";

test("without a seed the rows' own order", () => {
  expect([...epochOrder(4, undefined, 3)]).toEqual([0, 1, 2, 3]);
});

test("with a seed a permutation that seed and epoch alone decide", () => {
  const order = epochOrder(1000, 42, 0);
  expect(epochOrder(1000, 42, 0)).toEqual(order);
  expect([...order].sort((a, b) => a - b)).toEqual([...epochOrder(1000, undefined, 0)]);
  expect(epochOrder(1000, 42, 1)).not.toEqual(order);
  expect(epochOrder(1000, 43, 0)).not.toEqual(order);
  expect([...order].filter((row, i) => row === i).length).toBeLessThan(10);
});

test("batches, the last one short or left out", () => {
  const order = Int32Array.of(4, 2, 0, 1, 3);
  expect([...batchesOf(order, 2)].map((batch) => [...batch])).toEqual([[4, 2], [0, 1], [3]]);
  expect([...batchesOf(order, 2, { dropLast: true })].map((batch) => [...batch])).toEqual([
    [4, 2],
    [0, 1],
  ]);
});
