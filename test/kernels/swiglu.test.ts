import { describe, expect, test } from "vitest";

import { swigluBackward, swigluForward } from "../reference/swiglu.js";
import { conformance, type Fill } from "./conformance.js";
import { gradcheck } from "./gradcheck.js";
import { backends, launch } from "./launch.js";

// One number, odd rows one past a vector, more rows than a task takes, a Mistral row.
const axes = [
  { R: 1, F: 1, G: 2 },
  { R: 7, F: 33, G: 66 },
  { R: 60, F: 301, G: 602 },
  { R: 2, F: 14336, G: 28672 },
];

// Gates where the sigmoid bends and where it is flat.
const gate_up: Fill<"R" | "G"> = ({ R, G }, random) => Float64Array.from({ length: R * G }, () => 3 * random.normal());

conformance("swiglu_forward", { reference: swigluForward, axes, inputs: { gate_up } });
conformance("swiglu_backward", { reference: swigluBackward, axes, inputs: { gate_up } });

gradcheck("swiglu", {
  axes: { R: 3, F: 5, G: 10 },
  inputs: { gate_up: "R,G" },
  forward: (inputs, axes) => swigluForward(inputs, axes).y,
  backward: (dy, { gate_up }, axes) => ({ gate_up: swigluBackward({ dy, gate_up }, axes).dgate_up }),
});

describe.each(backends)("$name", (backend) => {
  test("swiglu takes gates for which exp overflows", async () => {
    const gates = [1e4, -1e4, 89, -89, 0, 3e38, -3e38];
    const F = gates.length;
    const run = { axes: { R: 1, F, G: 2 * F }, dtypes: { t: "f32" }, scalars: {} } as const;
    const gate_up = Float64Array.from([...gates, ...gates.map(() => 1)]);
    const { y } = await launch(backend, 1, "swiglu_forward", { ...run, values: { gate_up } });
    gates.forEach((gate, f) => {
      expect(Math.abs(y!.values[f]! / Math.fround(Math.max(gate, 0) || 1) - (gate > 0 ? 1 : 0))).toBeLessThan(1e-6);
    });
    const dy = new Float64Array(F).fill(1);
    const { dgate_up } = await launch(backend, 1, "swiglu_backward", { ...run, values: { dy, gate_up } });
    expect([...dgate_up!.values.subarray(0, 5)].map((d) => Math.abs(d))).toEqual([
      1,
      expect.closeTo(0),
      1,
      expect.closeTo(0),
      0.5,
    ]);
    expect([...dgate_up!.values].every(Number.isFinite)).toBe(true);
  });

  test("swiglu makes NaN of NaN", async () => {
    const run = { axes: { R: 1, F: 2, G: 4 }, dtypes: { t: "f32" }, scalars: {} } as const;
    const gate_up = Float64Array.of(Number.NaN, 1, 1, 1);
    const { y } = await launch(backend, 1, "swiglu_forward", { ...run, values: { gate_up } });
    expect([...y!.values].map(Number.isNaN)).toEqual([true, false]);
  });
});
