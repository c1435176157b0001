import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

import type { WestwindError } from "../../lib/base/errors.js";
import { parseRecipe } from "../../lib/recipe/parse.js";
import type { RunEvent, RunSummary } from "../../lib/run/events.js";
import type { RunOptions } from "../../lib/run/run.js";
import { runDpo, runSft } from "../../lib/run/start.js";

/** A folder for the tests of one file, deleted after them. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "westwind-test-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export type Keys = Readonly<Record<string, unknown>>;

/** The events of a run whose recipe is nothing but `keys`. */
export function start(kind: "sft" | "dpo", keys: Keys, options: RunOptions = {}): AsyncGenerator<RunEvent, RunSummary> {
  const overrides = Object.entries({ report: false, ...keys }).map(([key, value]) => {
    return `--${key}=${typeof value === "string" ? value : JSON.stringify(value)}`;
  });
  return kind === "sft"
    ? runSft(parseRecipe("sft", { overrides }), options)
    : runDpo(parseRecipe("dpo", { overrides }), options);
}

/** Runs to the end. */
export async function carryThrough(kind: "sft" | "dpo", keys: Keys, options: RunOptions = {}): Promise<RunEvent[]> {
  const events: RunEvent[] = [];
  for await (const event of start(kind, keys, options)) events.push(event);
  return events;
}

/** The lines a run logged, those of evaluations apart. */
export function logged(events: readonly RunEvent[]): Readonly<Record<string, number>>[] {
  return events.flatMap((event) => (event.kind === "step" && event.record ? [event.record] : []));
}

/** The error that a run or a call ends with, as `name: message`. */
export async function refusal(work: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof work === "function" ? work() : work);
  } catch (error) {
    return `${(error as WestwindError).name}: ${(error as WestwindError).message}`;
  }
  return "nothing was refused";
}
