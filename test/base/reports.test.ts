import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { reportsOf } from "../../lib/base/reports.js";

type Report = { readonly done: number };

async function collect(reports: AsyncGenerator<Report, string, void>) {
  const seen: number[] = [];
  for (;;) {
    const { done, value } = await reports.next();
    if (done === true) return { seen, result: value };
    seen.push((value as Report).done);
  }
}

test("each report as it comes, and the result", async () => {
  const work = async (report: (report: Report) => void) => {
    for (let done = 1; done <= 3; done++) {
      report({ done });
      await sleep(1);
    }
    return "ready";
  };
  expect(await collect(reportsOf(work))).toEqual({ seen: [1, 2, 3], result: "ready" });
});

test("of several reports between two looks the last", async () => {
  const work = async (report: (report: Report) => void) => {
    for (let done = 1; done <= 5; done++) report({ done });
    await sleep(1);
    return "ready";
  };
  expect(await collect(reportsOf(work))).toEqual({ seen: [5], result: "ready" });
});

test("no reports", async () => {
  expect(await collect(reportsOf(async () => "ready"))).toEqual({ seen: [], result: "ready" });
});

test("the last report, also where the work ended with it", async () => {
  const work = async (report: (report: Report) => void) => {
    report({ done: 9 });
    return "ready";
  };
  expect(await collect(reportsOf(work))).toEqual({ seen: [9], result: "ready" });
});

test("work that nobody waits for any more is told", async () => {
  let told: AbortSignal | undefined;
  const work = async (report: (report: Report) => void, signal: AbortSignal) => {
    told = signal;
    report({ done: 1 });
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    throw signal.reason;
  };
  for await (const _ of reportsOf(work)) break;
  expect(told!.aborted).toBe(true);
});

test("an error, after the report before it", async () => {
  const error = new Error("faulty");
  const work = async (report: (report: Report) => void) => {
    report({ done: 1 });
    throw error;
  };
  const reports = reportsOf(work);
  expect(await reports.next()).toEqual({ done: false, value: { done: 1 } });
  await expect(reports.next()).rejects.toBe(error);
});
