import { describe, expect, test } from "vitest";

import { embedding, embeddingBackward } from "../../lib/kernels/embedding.js";
import { Arena } from "../../lib/tensor/arena.js";
import { Device } from "../../lib/tensor/device.js";
import * as reference from "../reference/embedding.js";
import { conformance, type Fill } from "./conformance.js";
import { gradcheck } from "./gradcheck.js";
import { backends, launch } from "./launch.js";

// One number; more tokens than rows, one past a vector; past a stripe of columns; one row for all tokens; a Mistral row.
const axes = [
  { T: 1, V: 1, C: 1 },
  { T: 9, V: 4, C: 33 },
  { T: 130, V: 517, C: 289 },
  { T: 40, V: 1, C: 64 },
  { T: 3, V: 5, C: 4096 },
];
const tokens: Fill<"T" | "V"> = ({ T, V }, random) => Int32Array.from({ length: T }, () => random.below(V));

conformance("embedding_forward", { reference: reference.embeddingForward, axes, inputs: { tokens } });
conformance("embedding_backward", { reference: reference.embeddingBackward, axes, inputs: { tokens } });

const fixed = Float64Array.of(2, 0, 2, 3);
gradcheck("embedding", {
  axes: { T: 4, V: 5, C: 3 },
  inputs: { weight: "V,C" },
  forward: ({ weight }, axes) => reference.embeddingForward({ tokens: fixed, weight }, axes).y,
  backward: (dy, _inputs, axes) => ({ weight: reference.embeddingBackward({ tokens: fixed, dy }, axes).dweight }),
});

describe.each(backends)("$name", (backend) => {
  test("embedding_backward adds in the order of the tokens and leaves other rows alone", async () => {
    const axes = { T: 3, V: 3, C: 1 };
    const values = {
      tokens: Float64Array.of(1, 1, 1),
      dy: Float64Array.of(1, 1e8, -1e8),
      dweight: Float64Array.of(0.1, 0, -0.1),
    };
    const { dweight } = await launch(backend, 1, "embedding_backward", {
      axes,
      dtypes: { t: "f32" },
      scalars: {},
      values,
    });
    expect(dweight!.bits).toEqual(Float32Array.of(0.1, 0, -0.1)); // 1 + 1e8 is 1e8 in f32
  });

  // More than are checked at a time, by any part of a GPU.
  test("of many tokens outside of the table the first is named", async () => {
    using device = backend.open();
    using arena = new Arena(device);
    const ids = new Int32Array(300_000);
    for (const t of [299_999, 70_001, 1_301, 1_300, 2_600]) ids[t] = 1000 + t;
    embedding(arena, arena.from<"T">(ids), arena.from<"V,C">(new Float32Array(3), [3, 1]));
    await expect(device.sync()).rejects.toThrow(/: tokens\[1300\] = 2300, expected 0 <= tokens < 3$/);
  });
});

test.each([-1, 3])("token %i of a table of 3 rows is an error that says where", async (token) => {
  const message = new RegExp(`: tokens\\[1\\] = ${token}, expected 0 <= tokens < 3$`);
  for (const run of [
    (arena: Arena) => embedding(arena, arena.from<"T">(Int32Array.of(2, token)), table(arena)),
    (arena: Arena) => embeddingBackward(rows(arena), arena.from<"T">(Int32Array.of(2, token)), table(arena)),
  ]) {
    using device = Device.cpu({ threads: 1 });
    using arena = new Arena(device);
    run(arena);
    await expect(device.sync()).rejects.toThrow(message);
  }
});

const table = (arena: Arena) => arena.from<"V,C">(new Float32Array(12), [3, 4]);
const rows = (arena: Arena) => arena.from<"T,C">(new Float32Array(8), [2, 4]);
