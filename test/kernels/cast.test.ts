import { describe, expect, test } from "vitest";

import { cast } from "../../lib/kernels/cast.js";
import { Arena } from "../../lib/tensor/arena.js";
import type { Arrays, Axes } from "./conformance.js";
import { conformance } from "./conformance.js";
import { backends, launch } from "./launch.js";

// One number, one past a vector, a chunk and a part of a second.
conformance("cast", {
  reference: ({ x }: Arrays<"x">, _axes: Axes<"N">) => ({ y: x }),
  axes: [{ N: 1 }, { N: 33 }, { N: 65600 }],
});

describe.each(backends)("$name", (backend) => {
  test("cast rounds f32 to the nearest bf16, ties to even, and keeps what is not a number", async () => {
    const unit = 2 ** -7; // bf16 numbers lie this far apart from 1 on
    const cases: [number, number][] = [
      [1 + unit / 2, 1],
      [1 + 1.5 * unit, 1 + 2 * unit],
      [1 + unit / 2 + 2 ** -23, 1 + unit],
      [-(1 + 1.5 * unit), -(1 + 2 * unit)],
      [Number.NaN, Number.NaN],
      [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
      [3.4e38, Number.POSITIVE_INFINITY],
      [-0, -0],
    ];
    const N = 5 * cases.length + 1; // whole vectors and a rest
    const values = { x: Float64Array.from({ length: N }, (_, i) => cases[i % cases.length]![0]) };
    const run = { axes: { N }, dtypes: { s: "f32", t: "bf16" }, scalars: {}, values } as const;
    const { y } = await launch(backend, 1, "cast", run);
    y!.values.forEach((value, i) => {
      expect(value).toBe(cases[i % cases.length]![1]);
    });
  });

  test("cast keeps NaNs whose lower or upper half would round away", async () => {
    using arena = new Arena(backend.device(1));
    const patterns = [0x7f800001, 0x7fffffff, 0xff800001, 0xffffffff];
    const bits = Uint32Array.from({ length: 21 }, (_, i) => patterns[i % patterns.length]!);
    const x = arena.from<"N">(new Float32Array(bits.buffer));
    const y = cast(arena.empty<"N">([bits.length], "bf16"), x);
    expect([...(await y.readFloats())].every(Number.isNaN)).toBe(true);
  });
});
