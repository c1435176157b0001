/**
 * Work that reports how far it is, as an iteration over its reports that ends with its result. A report takes the place of
 * one that was not taken yet. The signal is raised when the iteration is abandoned.
 */
export async function* reportsOf<Report extends object, Result>(
  work: (report: (report: Report) => void, signal: AbortSignal) => Promise<Result>,
): AsyncGenerator<Report, Result, void> {
  const controller = new AbortController();
  let latest: Report | undefined;
  let wake = (): void => undefined;
  let isDone = false;
  const result = work((report) => {
    latest = report;
    wake();
  }, controller.signal).finally(() => {
    isDone = true;
    wake();
  });
  result.catch(() => undefined); // it is thrown below
  try {
    while (!isDone || latest !== undefined) {
      if (latest === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      const report = latest;
      latest = undefined;
      yield report;
    }
    return await result;
  } finally {
    controller.abort();
  }
}
