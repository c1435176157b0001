import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";

const FAULTS = ["read_global", "write_global", "read_shared", "read_dynamic_shared"];

describe.skipIf(!process.env.WESTWIND_TEST_EXACT)("AddressSanitizer under the emulator", () => {
  const program = join(dirname(process.env.WESTWIND_ADDON ?? ""), "faults");
  const run = (fault: string, shift: number) => spawnSync(program, [fault, `${shift}`], { encoding: "utf8" });

  test.each(FAULTS)("finds %s one element too far, and nothing where it stays inside", (fault) => {
    const { status, stderr } = run(fault, 1);
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/ERROR: AddressSanitizer: (use-after-poison|global-buffer-overflow)/);
    expect(stderr).toContain(`in ${fault} `);
    expect(run(fault, 0)).toMatchObject({ status: 0, stderr: "" });
  });
});
