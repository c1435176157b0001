import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { rename } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";

import { lock } from "../../lib/base/lock.js";
import { refusal, temporaryFolder } from "../run/collect.js";

vi.mock("node:fs/promises", async (load) => {
  const all = await load<typeof import("node:fs/promises")>();
  return { ...all, rename: vi.fn(all.rename) };
});

const folder = temporaryFolder();

test("a lock that another process took over first is put back", async () => {
  const path = join(folder, "file");
  const lockOf = (owner: object): void => {
    mkdirSync(`${path}.lock`);
    writeFileSync(`${path}.lock/owner`, JSON.stringify(owner));
  };
  const quicker = { pid: 1, host: "elsewhere", since: "" };
  lockOf({ pid: 2 ** 22 + 1, host: hostname(), since: "" }); // of the dead
  const before = vi.mocked(rename).getMockImplementation()!;
  vi.mocked(rename).mockImplementation(async (from, to) => {
    if (from === `${path}.lock`) {
      rmSync(`${path}.lock`, { recursive: true });
      lockOf(quicker);
      vi.mocked(rename).mockImplementation(before);
    }
    return await before(from, to);
  });
  expect(await refusal(lock(path))).toContain(`${path}: is in use by process 1 of elsewhere`);
  expect(JSON.parse(readFileSync(`${path}.lock/owner`, "utf8"))).toEqual(quicker);
  expect(readdirSync(folder)).toEqual(["file.lock"]);
});
