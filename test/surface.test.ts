import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

import { native } from "../lib/native/load.js";

test("the argument types are those of the declarations", () => {
  const generated = readFileSync("lib/kernels/args.generated.ts", "utf8");
  for (const [kernel, fields] of Object.entries(native.manifest)) {
    const members = fields.map(({ name, role, spec }) =>
      role === "scalar" ? `    ${name}: number;` : `    ${name}: AnyTensor; // ${role} ${spec}`,
    );
    expect(generated).toContain([`  ${kernel}: {`, ...members, "  };"].join("\n"));
  }
  expect(generated.match(/^ {2}\w+: \{$/gm)).toHaveLength(Object.keys(native.manifest).length);
});
