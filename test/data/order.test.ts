import { expect, test } from "vitest";
import { epochOrder } from "../../lib/data/order.js";

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
