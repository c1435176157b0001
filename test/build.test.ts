// Builds that take turns: scripts/build_lock.mjs, run as processes.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

const LOCK_SCRIPT = pathToFileURL("scripts/build_lock.mjs").href;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "westwind-lock-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A process that holds the lock while `body` runs, and writes what it did, in order, to the folder's journal. */
function start(body: string): Promise<{ code: number | null; stderr: string }> {
  const program = `
    import { appendFileSync } from "node:fs";
    import { setTimeout } from "node:timers/promises";
    import { alone } from ${JSON.stringify(LOCK_SCRIPT)};
    const note = (word) => appendFileSync("journal", word + " ");
    await alone("lock", async () => { ${body} });`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], { cwd: folder });
  let stderr = "";
  child.stderr.on("data", (data) => {
    stderr += data;
  });
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, stderr })));
}

const journal = () => readFileSync(join(folder, "journal"), "utf8").trim().split(" ");

test("processes hold a lock one after the other, and leave nothing behind", async () => {
  const ended = await Promise.all([1, 2, 3].map(() => start(`note("in"); await setTimeout(150); note("out");`)));
  expect(ended.map(({ code }) => code)).toEqual([0, 0, 0]);
  expect(journal()).toEqual(["in", "out", "in", "out", "in", "out"]);
  expect(readdirSync(folder)).toEqual(["journal"]);
});

test("whoever waits says for which process", async () => {
  const first = start(`note("in"); await setTimeout(1500);`);
  while (!existsSync(join(folder, "journal"))) await new Promise((resolve) => setTimeout(resolve, 10));
  expect((await start("")).stderr).toMatch(/^westwind: waiting for the build of process \d+\n$/);
  await first;
});

test("a lock is released when the work fails", async () => {
  expect((await start(`throw new Error("no space");`)).code).toBe(1);
  expect(await start(`note("in");`)).toEqual({ code: 0, stderr: "" });
});

test.each(["999999999", `${process.pid}`, `${process.pid} 1`])(
  "a lock of a process that has ended is taken over: %s",
  async (owner) => {
    mkdirSync(join(folder, "lock"));
    writeFileSync(join(folder, "lock", "owner"), owner); // the later two: the id lives, as another process
    const ended = await Promise.all([1, 2, 3].map(() => start(`note("in"); await setTimeout(50); note("out");`)));
    expect(ended.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(journal()).toEqual(["in", "out", "in", "out", "in", "out"]);
  },
);

test("a process that was killed in its turn does not hold up the next", async () => {
  await start(`process.kill(process.pid, "SIGKILL");`);
  expect(readdirSync(join(folder, "lock")).length).toBe(1);
  expect(await start(`note("in");`)).toEqual({ code: 0, stderr: "" });
});

test("a lock whose owner never wrote its name is free", async () => {
  mkdirSync(join(folder, "lock"));
  expect(await start(`note("in");`)).toEqual({ code: 0, stderr: "" });
});

test("build_native refuses a flag that it does not know", () => {
  const { status, stderr } = spawnSync(process.execPath, ["scripts/build_native.mjs", "--verbos"], {
    encoding: "utf8",
  });
  expect({ status, stderr }).toEqual({
    status: 2,
    stderr: "westwind: --verbos: expected --verbose, --if-needed, --cuda, --simt or --sanitized\n",
  });
});
