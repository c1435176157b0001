import { Random } from "../base/random.js";

// Streams of one seed that draw different things must differ; the epochs' orders begin here.
const ORDER_STREAM = 0x0dde5;

/**
 * The order of an epoch's rows: a permutation of 0 .. numRows - 1 that depends on nothing but its arguments, so that a
 * run can be taken up anywhere. Without a seed the rows' own order.
 */
export function epochOrder(numRows: number, seed: number | undefined, epoch: number): Int32Array {
  const order = Int32Array.from({ length: numRows }, (_, i) => i);
  return seed === undefined ? order : new Random(seed, ORDER_STREAM + epoch).shuffle(order);
}
