import { afterEach, expect, test, vi } from "vitest";

import { Progress } from "../../lib/cli/progress.js";
import { showRun } from "../../lib/cli/training.js";
import type { RunEvent, RunSummary } from "../../lib/run/events.js";

afterEach(() => vi.restoreAllMocks());

/** A terminal of so many columns; what was written is its `text`. */
function terminalOf(columns: number) {
  const terminal = { isTTY: true, columns, text: "", write: (chunk: string) => (terminal.text += chunk) };
  return terminal;
}

test.each([
  [12, "step 12/300"],
  [0, "step 12/300  loss 4.2"],
])("a line that changes fits into %i columns, where the terminal tells them", (columns, shown) => {
  const terminal = terminalOf(columns);
  new Progress(terminal).update("step 12/300  loss 4.2");
  expect(terminal.text).toBe(`\r${shown}`);
});

test("an error begins a line of its own", async () => {
  const { isTTY } = process.stderr;
  process.stderr.isTTY = true;
  let text = "";
  vi.spyOn(process.stderr, "write").mockImplementation((chunk) => {
    text += chunk;
    return true;
  });
  async function* run(): AsyncGenerator<RunEvent, RunSummary> {
    yield { kind: "encoding", done: 1, total: 2 };
    throw new Error("the disk is full");
  }
  try {
    await expect(showRun({ ignored: [], notes: [] }, run())).rejects.toThrow("the disk is full");
  } finally {
    process.stderr.isTTY = isTTY;
  }
  const line = "tokens: 1 of 2 rows";
  expect(text).toBe(`\r${line}\r${" ".repeat(line.length)}\r`);
});
