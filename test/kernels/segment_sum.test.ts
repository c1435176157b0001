import { describe, expect, test } from "vitest";

import { segmentSum, segmentSumBackward } from "../../lib/kernels/segment_sum.js";
import { Arena } from "../../lib/tensor/arena.js";
import { Device } from "../../lib/tensor/device.js";
import * as reference from "../reference/segment_sum.js";
import { conformance, type Fill } from "./conformance.js";
import { gradcheck } from "./gradcheck.js";
import { backends, launch } from "./launch.js";

// One value; segments that stay empty; more values than a chunk.
const axes = [
  { N: 1, S: 1 },
  { N: 10, S: 33 },
  { N: 40000, S: 7 },
];
const segments: Fill<"N" | "S"> = ({ N, S }, random) => Int32Array.from({ length: N }, () => random.below(S));

conformance("segment_sum_forward", { reference: reference.segmentSumForward, axes, inputs: { segments } });
conformance("segment_sum_backward", { reference: reference.segmentSumBackward, axes, inputs: { segments } });

const fixed = Float64Array.of(2, 0, 2, 3, 0);
gradcheck("segment_sum", {
  axes: { N: 5, S: 5 },
  inputs: { values: "N" },
  forward: ({ values }, axes) => reference.segmentSumForward({ values, segments: fixed }, axes).sums,
  backward: (dsums, _inputs, axes) => ({
    values: reference.segmentSumBackward({ dsums, segments: fixed }, axes).dvalues,
  }),
});

describe.each(backends)("$name", (backend) => {
  test("segment_sum_forward sums in f64 and gives 0 for an empty segment", async () => {
    const { sums } = await launch(backend, 1, "segment_sum_forward", {
      axes: { N: 3, S: 2 },
      dtypes: {},
      scalars: {},
      values: { values: Float64Array.of(1e8, 1, -1e8), segments: new Float64Array(3) },
    });
    expect(sums!.bits).toEqual(Float32Array.of(1, 0));
  });
});

test.each([-1, 3])("segment %i of 3 is an error that says where", async (segment) => {
  const message = new RegExp(`: segments\\[1\\] = ${segment}, expected 0 <= segments < 3$`);
  for (const run of [segmentSum, segmentSumBackward] as const) {
    using device = Device.cpu({ threads: 1 });
    using arena = new Arena(device);
    const segments = arena.from<"N">(Int32Array.of(2, segment));
    if (run === segmentSum) segmentSum(arena, arena.from<"N">(new Float32Array(2)), segments, 3);
    else segmentSumBackward(arena, arena.from<"S">(new Float32Array(3)), segments);
    await expect(device.sync()).rejects.toThrow(message);
  }
});
