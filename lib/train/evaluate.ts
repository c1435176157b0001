import { Metrics } from "./metrics.js";
import type { Task } from "./task.js";

/** The task's metrics over held-out rows, in file order, without touching a weight. */
export async function evaluate<Row>(task: Task<Row>, rows: readonly Row[], batchSize: number): Promise<Metrics> {
  const metrics = new Metrics();
  for (let first = 0; first < rows.length; first += batchSize) {
    metrics.merge(await task.forward(rows.slice(first, first + batchSize)));
  }
  return metrics;
}
