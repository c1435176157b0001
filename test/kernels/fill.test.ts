import type { Axes } from "./conformance.js";
import { conformance } from "./conformance.js";

// One number, one past a vector, a chunk and a part of a second; zero is a path of its own.
for (const value of [0.3, 0]) {
  conformance("fill", {
    reference: (_inputs, { N }: Axes<"N">, { value }: { value: number }) => ({ x: new Float64Array(N).fill(value) }),
    axes: [{ N: 1 }, { N: 33 }, { N: 65600 }],
    scalars: { value },
  });
}
