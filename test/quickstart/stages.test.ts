import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

import { planQuickstart } from "../../lib/quickstart/stages.js";
import { refusal, temporaryFolder } from "../run/collect.js";

test("a folder with anything that no quickstart wrote is refused, and stays as it is", async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "data"));
  writeFileSync(join(folder, "thesis.txt"), "");
  expect(await refusal(planQuickstart(folder))).toBe(
    `ConfigError: output_dir: ${folder} holds thesis.txt, which no quickstart wrote; name another folder`,
  );
  expect(await refusal(planQuickstart(join(folder, "thesis.txt")))).toMatch(/^FileError: .*: a file is there$/);
  expect(["data", "thesis.txt"].map((name) => existsSync(join(folder, name)))).toEqual([true, true]);
});
