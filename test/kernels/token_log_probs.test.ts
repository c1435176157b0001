import { describe, expect, test } from "vitest";

import { Random } from "../../lib/base/random.js";
import { logitsStride, tokenLogProbs, tokenLogProbsBackward } from "../../lib/kernels/token_log_probs.js";
import { Arena } from "../../lib/tensor/arena.js";
import { Device } from "../../lib/tensor/device.js";
import * as reference from "../reference/token_log_probs.js";
import { type Axes, conformance, type Fill } from "./conformance.js";
import { gradcheck } from "./gradcheck.js";
import { backends, launch, type Outcome } from "./launch.js";

type HeadAxis = "T" | "C" | "V" | "N" | "L" | "S";

// One of each; rows that repeat and one past a tile; no pair at all; pairs of more than one chunk; sums over the vocabulary
// longer than a block; fewer tokens in the vocabulary than a vector has lanes.
const sizes = [
  { T: 1, C: 1, V: 1, N: 1 },
  { T: 9, C: 33, V: 67, N: 13 },
  { T: 5, C: 7, V: 11, N: 0 },
  { T: 300, C: 6, V: 35, N: 1027 },
  { T: 4, C: 65, V: 1601, N: 5 },
  { T: 30, C: 40, V: 3, N: 20 },
];
// For CUDA: a vocabulary that a block reads in several rounds, and pairs of more than one panel.
const wide = { T: 2, C: 2, V: 10503, N: 3 };
const long = { T: 900, C: 3, V: 9, N: 2100 };

type Sizes = Axes<Exclude<HeadAxis, "L" | "S">>;
const alone = (size: Sizes): Axes<HeadAxis> => ({ ...size, L: 0, S: 0 });
const keeping = (size: Sizes): Axes<HeadAxis> => ({ ...size, L: size.N, S: logitsStride(size.V) });
const rows: Fill<HeadAxis> = ({ T, N }, random) => Int32Array.from({ length: N }, () => random.below(T));
const labels: Fill<HeadAxis> = ({ V, N }, random) => Int32Array.from({ length: N }, () => random.below(V));
// About what it is for logits of this variance, so that no token has a probability far above 1.
const lse: Fill<HeadAxis> = ({ C, V, N }, random) =>
  Float64Array.from({ length: N }, () => Math.log(V) + C / 18 + random.next());

// What lies behind a row of logits says nothing.
const observe = (outcome: Readonly<Record<string, Outcome>>, { V, S }: Axes<HeadAxis>) => {
  const isLogit = (_: number, i: number) => i % S < V;
  const { dtype, values, bits } = outcome.logits!;
  return { ...outcome, logits: { dtype, values: values.filter(isLogit), bits: bits.filter(isLogit) } };
};

conformance("token_log_probs_forward", {
  reference: reference.tokenLogProbsForward,
  axes: [...sizes.map(alone), ...sizes.map(keeping)],
  inputs: { rows, labels },
  observe,
});
conformance("token_log_probs_backward", {
  reference: reference.tokenLogProbsBackward,
  axes: [...[...sizes, wide, long].map(alone), ...[...sizes, wide, long].map(keeping)],
  inputs: { rows, labels, lse },
  roundsInside: true,
});

const none = { logits: new Float64Array(0) };
const picks = { rows: Float64Array.of(2, 0, 2, 1), labels: Float64Array.of(4, 0, 1, 3) };
gradcheck("token_log_probs", {
  axes: alone({ T: 4, C: 3, V: 5, N: 4 }),
  inputs: { hidden: "T,C", weight: "V,C" },
  forward: (inputs, axes) => reference.tokenLogProbsForward({ ...inputs, ...picks }, axes).log_probs,
  backward: (dlog_probs, inputs, axes) => {
    const { lse } = reference.tokenLogProbsForward({ ...inputs, ...picks }, axes);
    const { dhidden, dweight } = reference.tokenLogProbsBackward(
      { ...inputs, ...picks, ...none, lse, dlog_probs },
      axes,
    );
    return { hidden: dhidden, weight: dweight };
  },
});

const noise = (length: number, seed: number): Float64Array => {
  const random = new Random(seed);
  return Float64Array.from({ length }, () => Math.fround(random.normal()));
};

describe.each(backends)("$name", (backend) => {
  const f32 = { dtypes: { t: "f32" }, scalars: {} } as const;

  test("token_log_probs_forward says who is first among equals", async () => {
    // Tokens 2 and 20 share the largest logit of row 0; in row 1 all are equal.
    const axes = alone({ T: 2, C: 1, V: 21, N: 5 });
    const weight = new Float64Array(21).fill(-1);
    weight[2] = weight[20] = 3;
    const values = {
      hidden: Float64Array.of(1, 0),
      weight,
      rows: Float64Array.of(0, 0, 0, 1, 1),
      labels: Float64Array.of(2, 20, 0, 0, 1),
    };
    const { correct } = await launch(backend, 1, "token_log_probs_forward", { axes, ...f32, values });
    expect([...correct!.values]).toEqual([1, 0, 0, 1, 0]);
  });

  test("token_log_probs_forward of a vocabulary read in several rounds", async () => {
    const { T, C, V, N } = wide;
    const values = {
      hidden: noise(T * C, 1),
      weight: noise(V * C, 2),
      rows: Float64Array.of(0, 1, 1),
      labels: Float64Array.of(10502, 4000, 9001),
    };
    const outcome = await launch(backend, 1, "token_log_probs_forward", { axes: alone(wide), ...f32, values });
    const expected = reference.tokenLogProbsForward(values, alone(wide));
    for (const [name, results] of Object.entries(expected).filter(([name]) => name !== "logits")) {
      for (let n = 0; n < N; n++) expect(outcome[name]!.values[n], `${name}[${n}]`).toBeCloseTo(results[n]!, 4);
    }
  });

  test("token_log_probs keeps its digits for logits of +-1e4", async () => {
    const axes = alone({ T: 3, C: 1, V: 19, N: 4 });
    const weight = new Float64Array(19).fill(-1e4);
    weight[0] = 1e4;
    weight[18] = 1e4;
    weight[5] = 1e4 - 1;
    const values = {
      hidden: Float64Array.of(1, -1, 0.5),
      weight,
      rows: Float64Array.of(0, 0, 1, 2),
      labels: Float64Array.of(5, 1, 2, 0),
    };
    const { log_probs, entropy, lse, correct } = await launch(backend, 1, "token_log_probs_forward", {
      axes,
      ...f32,
      values,
    });
    const expected = reference.tokenLogProbsForward(values, axes);
    for (let n = 0; n < 4; n++) {
      expect(log_probs!.values[n]! / expected.log_probs[n]!, `log_probs[${n}]`).toBeCloseTo(1, 6);
      expect(entropy!.values[n], `entropy[${n}]`).toBeCloseTo(expected.entropy[n]!, 5);
      expect(lse!.values[n]! / expected.lse[n]!, `lse[${n}]`).toBeCloseTo(1, 6);
      expect(correct!.values[n]).toBe(expected.correct[n]);
    }

    const gradient = { ...values, ...none, lse: lse!.values, dlog_probs: Float64Array.of(1, 1, 1, 1) };
    const { dhidden, dweight } = await launch(backend, 1, "token_log_probs_backward", {
      axes,
      ...f32,
      values: { ...gradient, dweight: new Float64Array(19) },
    });
    expect([...dhidden!.values, ...dweight!.values].every(Number.isFinite)).toBe(true);
    expect(dweight!.values[1]).toBeCloseTo(1 + 1 / 16, 3); // wrong for pair 1; one of sixteen for pair 2
  });

  test("token_log_probs_forward makes NaN of a row with NaN", async () => {
    const weight = Float64Array.from({ length: 40 }, (_, v) => (v === 25 ? Number.NaN : 1));
    const axes = alone({ T: 2, C: 1, V: 40, N: 1 });
    const values = { hidden: Float64Array.of(1, 1), weight, rows: Float64Array.of(1), labels: Float64Array.of(3) };
    const { log_probs } = await launch(backend, 1, "token_log_probs_forward", { axes, ...f32, values });
    expect(log_probs!.values[0]).toBeNaN();
  });

  test.skipIf(backend.name.startsWith("cuda"))(
    "a pair's results are the same alone and among more pairs than a chunk",
    async () => {
      const [T, C, V, N] = [40, 34, 50, 700];
      const random = new Random(3);
      const [hidden, weight] = [noise(T * C, 1), noise(V * C, 2)];
      const all = {
        rows: Float64Array.from({ length: N }, () => random.below(T)),
        labels: Float64Array.from({ length: N }, () => random.below(V)),
      };
      const run = (rows: Float64Array, labels: Float64Array) =>
        launch(backend, 2, "token_log_probs_forward", {
          axes: alone({ T, C, V, N: rows.length }),
          ...f32,
          values: { hidden, weight, rows, labels },
        });
      const batch = await run(all.rows, all.labels);
      for (const n of [0, 349, 350, 699]) {
        const alone = await run(all.rows.slice(n, n + 1), all.labels.slice(n, n + 1));
        for (const name of ["log_probs", "lse", "entropy", "correct"]) {
          expect(alone[name]!.bits[0], name).toBe(batch[name]!.bits[n]);
        }
      }
    },
  );
});

test.each([
  ["rows", [1, -1], [0, 0], 3],
  ["rows", [1, 3], [0, 0], 3],
  ["labels", [0, 0], [1, -1], 5],
  ["labels", [0, 0], [1, 5], 5],
] as const)("%s outside the table is an error that says where", async (name, rows, labels, bound) => {
  const wrong = name === "rows" ? rows[1] : labels[1];
  const message = new RegExp(`^token_log_probs_\\w+: ${name}\\[1\\] = ${wrong}, expected 0 <= ${name} < ${bound}$`);
  const setUp = (arena: Arena) => ({
    hidden: arena.from<"T,C">(new Float32Array(6), [3, 2]),
    weight: arena.from<"V,C">(new Float32Array(10), [5, 2]),
    rows: arena.from<"N">(Int32Array.from(rows)),
    labels: arena.from<"N">(Int32Array.from(labels)),
  });
  for (const direction of ["forward", "backward"]) {
    using device = Device.cpu({ threads: 1 });
    using arena = new Arena(device);
    const inputs = setUp(arena);
    if (direction === "forward") {
      tokenLogProbs(arena, inputs, { keepLogits: false });
    } else {
      const perPair = arena.from<"N">(new Float32Array(2));
      const saved = { ...inputs, lse: perPair, logits: arena.empty<"L,S">([0, 8], "f32") };
      tokenLogProbsBackward(arena, perPair, saved, arena.from(new Float32Array(10), [5, 2]));
    }
    await expect(device.sync()).rejects.toMatchObject({ code: "ERR_VALUE", message: expect.stringMatching(message) });
  }
});
