import { describe, expect, test } from "vitest";

import { globalNorm } from "../reference/global_norm.js";
import { conformance } from "./conformance.js";
import { backends, launch } from "./launch.js";

// One number, one past two vectors, two chunks and a part of a third.
conformance("global_norm", { reference: globalNorm, axes: [{ N: 1 }, { N: 33 }, { N: 131117 }] });

describe.each(backends)("$name", (backend) => {
  const norm = async (x: Float64Array) => {
    const run = { axes: { N: x.length }, dtypes: { t: "f32" }, scalars: {}, values: { x } } as const;
    return (await launch(backend, 1, "global_norm", run)).norm!.values[0]!;
  };

  test("global_norm neither overflows nor underflows", async () => {
    expect((await norm(new Float64Array(100).fill(1e30))) / 1e31).toBeCloseTo(1, 6);
    expect((await norm(new Float64Array(100).fill(1e-30))) / 1e-29).toBeCloseTo(1, 6);
    expect(await norm(new Float64Array(7))).toBe(0);
  });

  test("global_norm loses no digits over many numbers, and shows a number that is not one", async () => {
    const x = new Float64Array(300000).fill(Math.fround(0.1));
    expect(await norm(x)).toBe(Math.fround(Math.sqrt(300000) * Math.fround(0.1)));
    x[299999] = Number.NaN;
    expect(await norm(x)).toBeNaN();
  });
});
