import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";

import { lock } from "../../lib/base/lock.js";
import { Random } from "../../lib/base/random.js";
import { refusal, temporaryFolder } from "../run/collect.js";

/** Is awaited before each call of the file system. */
const pause = vi.hoisted(() => ({ before: async (_call: string, _path: string): Promise<void> => undefined }));

vi.mock("node:fs/promises", async (load) => {
  const all = await load<typeof import("node:fs/promises")>();
  const calls = ["mkdir", "open", "readdir", "readFile", "rename", "rm", "rmdir"] as const;
  const paused = calls.map((name) => {
    const call = all[name] as (...args: unknown[]) => Promise<unknown>;
    return async (...args: unknown[]) => {
      await pause.before(name, String(args[0]));
      return await call(...args);
    };
  });
  return { ...all, ...Object.fromEntries(calls.map((name, i) => [name, paused[i]])) };
});

const folder = temporaryFolder();
afterEach(() => {
  pause.before = async () => undefined;
});

function lockOf(path: string, owner: object, name = "owner"): void {
  mkdirSync(`${path}.lock`);
  writeFileSync(`${path}.lock/${name}`, JSON.stringify(owner));
}

const DEAD = { pid: 2 ** 22 + 1, host: hostname(), since: "" };

test("a lock that another process took over first is left alone", async () => {
  const path = join(folder, "file");
  const quicker = { pid: 1, host: "elsewhere", since: "" };
  lockOf(path, DEAD);
  pause.before = async (call, at) => {
    if (call !== "rm" || !at.startsWith(`${path}.lock`)) return;
    pause.before = async () => undefined;
    rmSync(`${path}.lock`, { recursive: true });
    lockOf(path, quicker, "quicker");
  };
  expect(await refusal(lock(path))).toContain(`${path}: is in use by process 1 of elsewhere`);
  expect(JSON.parse(readFileSync(`${path}.lock/quicker`, "utf8"))).toEqual(quicker);
  expect(readdirSync(folder)).toEqual(["file.lock"]);
});

test("of several that find a lock of the dead one takes it, whatever the order of their steps", async () => {
  const random = new Random(1, 0);
  for (let round = 0; round < 200; round++) {
    const path = join(folder, `round-${round}`);
    lockOf(path, DEAD);
    pause.before = async () => {
      for (let turns = random.nextUint32() % 8; turns > 0; turns--) await new Promise(setImmediate);
    };
    let holders = 0;
    const hold = async (): Promise<void> => {
      await using _held = await lock(path);
      expect(++holders).toBe(1);
      for (let turns = random.nextUint32() % 64; turns > 0; turns--) await new Promise(setImmediate);
      holders--;
    };
    const all = await Promise.allSettled([hold(), hold(), hold()]);
    const refused = all.flatMap((one) => (one.status === "rejected" ? [(one.reason as Error).message] : []));
    expect(refused.length).toBeLessThan(3);
    for (const message of refused) expect(message).toBe(`${path}: is in use by process ${process.pid}`);
    expect(existsSync(`${path}.lock`)).toBe(false);
  }
});
