/**
 * Runs `body` with a signal that the first Ctrl-C (or SIGTERM) raises, so that a run can save and end after the `unit`
 * it is at. The second ends the process at once.
 */
export async function interruptible<T>(
  unit: "step" | "token" | "answer" | "row" | "part",
  body: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const onSignal = () => {
    if (controller.signal.aborted) process.exit(130);
    process.stderr.write(`\nwestwind: stopping after this ${unit}; once more to stop at once\n`);
    controller.abort();
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  try {
    return await body(controller.signal);
  } finally {
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  }
}
