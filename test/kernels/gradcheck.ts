import { expect, test } from "vitest";

import type { Arrays, Axes } from "./conformance.js";

interface Gradcheck<I extends string, A extends string> {
  readonly axes: Axes<A>;
  /** What to differentiate by, with its axes: `{ x: "R,C" }`. */
  readonly inputs: Readonly<Record<I, string>>;
  /** Values in place of the wave that an input gets otherwise. */
  readonly values?: Partial<Readonly<Record<NoInfer<I>, readonly number[]>>>;
  forward(inputs: Arrays<I>, axes: Axes<NoInfer<A>>): Float64Array;
  backward(dy: Float64Array, inputs: Arrays<I>, axes: Axes<NoInfer<A>>): Arrays<I>;
}

/** Checks `backward` against central differences of `forward`, all in f64. */
export function gradcheck<I extends string, A extends string>(
  label: string,
  { axes, inputs: specs, values = {}, forward, backward }: Gradcheck<I, A>,
): void {
  test(`${label} reference gradients`, () => {
    const wave = (length: number, phase: number) => Float64Array.from({ length }, (_, i) => Math.sin(1.7 * i + phase));
    const names = Object.keys(specs) as I[];
    const size = (spec: string) => spec.split(",").reduce((n, axis) => n * axes[axis as A], 1);
    const inputs = Object.fromEntries(
      names.map((name, k) => [name, Float64Array.from(values[name] ?? wave(size(specs[name]), k))]),
    ) as Arrays<I>;
    const dy = wave(forward(inputs, axes).length, 0.5);
    const loss = () => forward(inputs, axes).reduce((sum, value, i) => sum + value * dy[i]!, 0);

    const gradients = backward(dy, inputs, axes);
    for (const name of names) {
      const values = inputs[name];
      expect(gradients[name].length, `d${name}: length`).toBe(values.length);
      for (let i = 0; i < values.length; i++) {
        const value = values[i]!;
        values[i] = value + 1e-5;
        const above = loss();
        values[i] = value - 1e-5;
        const below = loss();
        values[i] = value;
        const numeric = (above - below) / 2e-5;
        const allowed = 1e-7 * Math.max(1, Math.abs(numeric));
        if (Math.abs(numeric - gradients[name][i]!) <= allowed) continue;
        expect.fail(`d${name}[${i}] = ${gradients[name][i]}, central differences ${numeric}`);
      }
    }
  });
}
