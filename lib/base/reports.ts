/** Work that reports how far it is, as an iteration over its reports that ends with its result. Late reports replace early ones. */
export async function* reportsOf<Report extends object, Result>(
  work: (report: (report: Report) => void) => Promise<Result>,
): AsyncGenerator<Report, Result, void> {
  let latest: Report | undefined;
  let wake = (): void => undefined;
  let isDone = false;
  const result = work((report) => {
    latest = report;
    wake();
  }).finally(() => {
    isDone = true;
    wake();
  });
  result.catch(() => undefined); // it is thrown below
  while (!isDone) {
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
}
