import { Random } from "../base/random.js";

/** The order in which epoch `epoch` visits `numRows` rows: drawn from the seed, or the data's own without one. */
export function epochOrder(numRows: number, seed: number | undefined, epoch: number): Int32Array {
  const order = Int32Array.from({ length: numRows }, (_, i) => i);
  return seed === undefined ? order : new Random(seed, epoch).shuffle(order);
}
