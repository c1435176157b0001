import { type Rows, sliceRows } from "../data/rows.js";
import { Metrics } from "./metrics.js";
import type { Task } from "./task.js";

/** The task's metrics over held-out rows, in file order, without touching a weight; none if it is stopped. */
export async function evaluate<Row>(
  task: Task<Row>,
  rows: Rows<Row>,
  batchSize: number,
  signal?: AbortSignal,
): Promise<Metrics | undefined> {
  const metrics = new Metrics();
  for (let first = 0; first < rows.length; first += batchSize) {
    if (signal?.aborted) return undefined;
    metrics.merge(await task.forward(sliceRows(rows, first, first + batchSize)));
  }
  return metrics;
}
