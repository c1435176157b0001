import { describe, expect, test } from "vitest";

import { Random } from "../../lib/base/random.js";
import * as reference from "../reference/sample_tokens.js";
import { conformance, type Fill } from "./conformance.js";
import { type Backend, backends, launch } from "./launch.js";

// One logit; more entries than a task takes.
const entries = [
  { E: 1, R: 1, V: 1 },
  { E: 9, R: 3, V: 7 },
  { E: 5000, R: 5, V: 1009 },
];
conformance("adjust_logits", {
  reference: reference.adjustLogits,
  axes: entries,
  inputs: {
    rows: ({ E, R }) => Int32Array.from({ length: E }, (_, e) => e % R),
    ids: ({ E, R, V }) => Int32Array.from({ length: E }, (_, e) => (V - 1 - Math.floor(e / R)) % V),
    change: ({ E }, random) =>
      Array.from({ length: 2 * E }, (_, i) => (i % 2 === 0 ? 0.5 + random.next() : random.next())),
  },
});

conformance("move_tokens", {
  reference: reference.moveTokens,
  axes: [
    { S: 1, N: 1, T: 1 },
    { S: 4, N: 0, T: 3 },
    { S: 600, N: 500, T: 700 },
  ],
  inputs: {
    sampled: ({ S }, random) => Array.from({ length: S }, () => random.below(1000)),
    tokens: ({ T }, random) => Array.from({ length: T }, () => random.below(1000)),
    from: ({ S, N }, random) => Array.from({ length: N }, () => random.below(S)),
    to: ({ T, N }) => Array.from({ length: N }, (_, n) => T - 1 - n),
  },
});

interface Settings {
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
}

// One token; a row that ends within a vector; more rows than threads; a few blocks.
const axes = [
  { R: 1, V: 1 },
  { R: 3, V: 5 },
  { R: 12, V: 33 },
  { R: 2, V: 1501 },
];
/** `spread` as a trained model's logits have it, and few enough values that many are equal. */
const logits =
  (spread: number, step = 0): Fill<"R" | "V"> =>
  ({ R, V }, random) =>
    Float64Array.from({ length: R * V }, () => {
      const x = spread * random.normal();
      return step > 0 ? step * Math.round(x / step) : x;
    });
const inputsOf = ({ temperature = 1, topK = 0, topP = 1, minP = 0 }: Settings, fill: Fill<"R" | "V">) => ({
  logits: fill,
  settings: ({ R }: { R: number }) => Array.from({ length: R }, () => [temperature, topP, minP]).flat(),
  draws: ({ R }: { R: number }, random: Random) =>
    Array.from({ length: R }, () => [topK, random.nextUint32() | 0]).flat(),
});

describe.each<[string, Settings]>([
  ["the likeliest", { temperature: 0 }],
  ["all", {}],
  ["all, sharpened", { temperature: 0.3 }],
  ["all, flattened", { temperature: 50 }],
  ["the 7 likeliest", { topK: 7 }],
  ["all but a few", { topK: 32 }],
  ["half of the weight", { topP: 0.5 }],
  ["nearly all of the weight", { temperature: 0.7, topP: 0.95 }],
  ["hardly any of the weight", { topP: 1e-6 }],
  ["those not far behind", { minP: 0.0501 }],
  ["those as likely as the likeliest", { minP: 1 }],
  ["what all leave", { temperature: 1.3, topK: 50, topP: 0.8, minP: 0.0101 }],
])("%s", (_, settings) => {
  describe.each<[string, Fill<"R" | "V">]>([
    ["of a trained model", logits(3)],
    ["of a random model", logits(0.02)],
    ["of which many are equal", logits(2, 0.5)],
    ["of which all are equal", ({ R, V }) => new Float64Array(R * V).fill(0)],
    [
      "far apart",
      ({ R, V }, random) => Float64Array.from({ length: R * V }, () => (random.next() - 0.5) * 10 ** random.below(38)),
    ],
  ])("%s", (_, fill) => {
    conformance("sample_tokens", { reference: reference.sampleTokens, axes, inputs: inputsOf(settings, fill) });
  });
});

describe("a real vocabulary", () => {
  for (const settings of [{ temperature: 0 }, { temperature: 0.7, topP: 0.95 }, { topK: 50 }]) {
    const inputs = inputsOf(settings, logits(3));
    conformance("sample_tokens", { reference: reference.sampleTokens, axes: [{ R: 1, V: 32064 }], inputs });
  }
});

describe("logits that are no numbers", () => {
  const odd = [Number.NaN, -Infinity, Infinity, 0, -0, 1, -3e38, 3e38];
  const fill: Fill<"R" | "V"> = ({ R, V }, random) =>
    Float64Array.from({ length: R * V }, () => odd[random.below(odd.length)]!);
  for (const settings of [{ temperature: 0 }, {}, { topK: 3 }, { topP: 0.5 }, { minP: 0.5 }, { topK: 40, topP: 0.9 }]) {
    conformance("sample_tokens", {
      reference: reference.sampleTokens,
      axes: [
        { R: 50, V: 5 },
        { R: 20, V: 100 },
      ],
      inputs: inputsOf(settings, fill),
    });
  }
  conformance("sample_tokens", {
    reference: reference.sampleTokens,
    axes: [{ R: 4, V: 70 }],
    inputs: inputsOf({ topK: 3, topP: 0.5, minP: 0.1 }, ({ R, V }) => new Float64Array(R * V).fill(Number.NaN)),
  });
});

describe.each(backends)("$name", (backend) => {
  test("every share of the random numbers goes to its token", async () => {
    const shares = [0.05, 0.5, 0.15, 0.3];
    const R = 1000;
    const tokens = await sample(
      backend,
      { logits: Array.from({ length: R }, () => shares.map(Math.log)).flat(), R, V: 4 },
      {
        bits: (r) => Math.floor((2 ** 32 / R) * (r + 0.5)),
      },
    );
    const counts = shares.map((_, id) => tokens.filter((token) => token === id).length);
    for (const [id, count] of counts.entries()) expect(Math.abs(count - R * shares[id]!)).toBeLessThanOrEqual(1);
    expect(tokens).toEqual(tokens.toSorted());
  });

  test("a row's token does not depend on the rows beside it", async () => {
    const [R, V] = [7, 2000];
    const random = new Random(3);
    const values = Float64Array.from({ length: R * V }, () => 3 * random.normal());
    const bits = Array.from({ length: R }, () => random.nextUint32());
    const settings = { temperature: 0.8, topP: 0.9 };
    const all = await sample(backend, { logits: values, R, V }, { ...settings, bits: (r) => bits[r]! });
    for (let r = 0; r < R; r++) {
      const one = { logits: values.subarray(r * V, (r + 1) * V), R: 1, V };
      expect(await sample(backend, one, { ...settings, bits: () => bits[r]! })).toEqual([all[r]]);
    }
  });

  test("settings out of their ranges draw some token all the same", async () => {
    const odd = [Number.NaN, -1, 0, 1e-45, 1e38, Infinity, 2];
    for (const temperature of odd) {
      for (const topP of odd) {
        for (const minP of odd) {
          const [token] = await sample(
            backend,
            { logits: [1, 5, 3, 5], R: 1, V: 4 },
            { temperature, topP, minP, topK: -1, bits: () => 2 ** 32 - 1 },
          );
          expect([0, 1, 2, 3]).toContain(token);
        }
      }
    }
  });

  test.each([
    ["adjust_logits", "rows", { rows: [1], ids: [0], change: [1, 0], logits: [0] }, { E: 1, R: 1, V: 1 }],
    ["adjust_logits", "ids", { rows: [0], ids: [-1], change: [1, 0], logits: [0] }, { E: 1, R: 1, V: 1 }],
    ["move_tokens", "from", { sampled: [5], from: [1], to: [0], tokens: [0] }, { S: 1, N: 1, T: 1 }],
    ["move_tokens", "to", { sampled: [5], from: [0], to: [2], tokens: [0] }, { S: 1, N: 1, T: 1 }],
  ])("%s says which of its %s does not exist", async (kernel, name, values, axes) => {
    using device = backend.open();
    const run = launch({ ...backend, device: () => device }, 1, kernel, {
      axes,
      dtypes: {},
      scalars: {},
      values: Object.fromEntries(Object.entries(values).map(([key, list]) => [key, Float64Array.from(list)])),
    });
    await expect(run).rejects.toThrow(`${kernel}: ${name}[0] = `);
  });
});

async function sample(
  backend: Backend,
  { logits, R, V }: { logits: ArrayLike<number>; R: number; V: number },
  { temperature = 1, topK = 0, topP = 1, minP = 0, bits }: Settings & { bits: (row: number) => number },
): Promise<number[]> {
  const rows = Array.from({ length: R }, (_, r) => r);
  const { tokens } = await launch(backend, 1, "sample_tokens", {
    axes: { R, V },
    dtypes: {},
    scalars: {},
    values: {
      logits: Float64Array.from(logits),
      settings: Float64Array.from(rows.flatMap(() => [temperature, topP, minP])),
      draws: Float64Array.from(rows.flatMap((r) => [topK, bits(r) | 0])),
    },
  });
  return Array.from(tokens!.values);
}
