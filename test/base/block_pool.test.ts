import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { BlockPool } from "../../lib/base/block_pool.js";

const folder = mkdtempSync(join(tmpdir(), "pool-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A thread that doubles numbers, answers nothing for those below zero and never answers for 100. */
const worker = join(folder, "double.mjs") as `#${string}`;
writeFileSync(
  worker,
  `import { parentPort } from "node:worker_threads";
parentPort.on("message", (n) => n === 100 || parentPort.postMessage(n < 0 ? undefined : 2 * n));`,
);

function poolOf(numThreads: number, workedHere: number[]) {
  const here = async () => (n: number) => {
    workedHere.push(n);
    if (n === -1) throw new Error("a fault");
    return 2 * n;
  };
  return new BlockPool<number, number>({ worker, workerData: undefined, here, numThreads });
}

async function* numbers(...all: readonly number[]): AsyncGenerator<number, void, void> {
  yield* all;
}

async function collect(numThreads: number, all: readonly number[], stopAfter = Number.POSITIVE_INFINITY) {
  const [results, workedHere]: [number[], number[]] = [[], []];
  {
    await using pool = poolOf(numThreads, workedHere);
    for await (const result of pool.work(numbers(...all))) {
      results.push(result);
      if (results.length >= stopAfter) break;
    }
  }
  await new Promise((resolve) => setTimeout(resolve, 20)); // what waited at the threads has been given up by now
  return { results, workedHere };
}

test.each([0, 1, 3])("blocks keep their order in %i threads", async (numThreads) => {
  const all = Array.from({ length: 50 }, (_, i) => i);
  const { results, workedHere } = await collect(numThreads, all);
  expect(results).toEqual(all.map((n) => 2 * n));
  expect(workedHere).toEqual(numThreads === 0 ? all : []);
});

test("what a thread does not answer is found out here", async () => {
  expect(await collect(2, [1, -2, 3])).toEqual({ results: [2, -4, 6], workedHere: [-2] });
  await expect(collect(2, [1, -1, 3])).rejects.toThrow("a fault");
});

test("who stops early leaves no block to be worked on here", async () => {
  expect(await collect(2, [1, 2, 3, 100, 100, 100, 100, 100], 3)).toEqual({ results: [2, 4, 6], workedHere: [] });
});
