import { describe, expect, test } from "vitest";

import { Random } from "../../lib/base/random.js";
import { flashAttentionBackward, flashAttentionForward } from "../reference/flash_attention.js";
import { type Arrays, conformance, expectClose } from "./conformance.js";
import { gradcheck } from "./gradcheck.js";
import { backends, launch } from "./launch.js";

type Mask = Arrays<"positions" | "sequence_start" | "visible_until">;

/** Lays prompts with their answers end to end: [5] is a document of 5 tokens, [5, 2, 3] a prompt with two answers. */
function packed(...trees: number[][]): Mask {
  const positions: number[] = [];
  const start: number[] = [];
  const until: number[] = [];
  for (const [prompt, ...answers] of trees as [number, ...number[]][]) {
    const begin = positions.length;
    const end = begin + answers.reduce((sum, n) => sum + n, prompt);
    const lay = (count: number, position: number, visibleUntil: number) => {
      for (let i = 0; i < count; i++) {
        positions.push(position + i);
        start.push(begin);
        until.push(visibleUntil);
      }
    };
    lay(prompt, 0, end);
    for (const answer of answers) lay(answer, prompt, positions.length + answer);
  }
  return {
    positions: Float64Array.from(positions),
    sequence_start: Float64Array.from(start),
    visible_until: Float64Array.from(until),
  };
}

const masksOf = ({ positions, sequence_start, visible_until }: Mask) => ({
  positions: () => positions,
  sequence_start: () => sequence_start,
  visible_until: () => visible_until,
});

const heads = [
  { M: 6, H: 4, D: 16 }, // H = 4 K
  { M: 6, H: 2, D: 20 }, // H = K
];
const layouts: Record<string, { trees: number[][]; window?: number; openEnded?: boolean }> = {
  "one token": { trees: [[1]] },
  "one document, several blocks of keys and chunks of dq": { trees: [[300]] },
  "documents, one a single token": { trees: [[70], [1], [130], [33]] },
  "documents of one token": { trees: Array.from({ length: 150 }, () => [1]) },
  "short documents that share a tile": { trees: [[9], [20], [3], [31], [40]] },
  pairs: {
    trees: [
      [40, 30, 90],
      [1, 1, 1],
      [90, 5, 70],
    ],
  },
  "three answers to one prompt": { trees: [[50, 20, 35, 27], [7]] },
  "window 3": { trees: [[100], [30, 25, 40]], window: 3 },
  "window 50": { trees: [[180], [60, 20, 40]], window: 50 },
  "documents told apart by their start alone": { trees: [[20], [70], [45]], openEnded: true },
  "a window longer than T": { trees: [[45], [20, 10, 9]], window: 1000 },
};

for (const [name, { trees, window = 0, openEnded = false }] of Object.entries(layouts)) {
  const mask = packed(...trees);
  if (openEnded) mask.visible_until.fill(mask.positions.length);
  const options = { axes: heads.map((h) => ({ T: mask.positions.length, ...h })), scalars: { scale: 0.7, window } };
  describe(name, () => {
    conformance("flash_attention_forward", { reference: flashAttentionForward, inputs: masksOf(mask), ...options });
    conformance("flash_attention_backward", { reference: flashAttentionBackward, inputs: masksOf(mask), ...options });
  });
}

describe("head sizes", () => {
  const mask = packed([50], [10, 20, 5]);
  const axes = [1, 8, 48, 64, 80, 128, 256].map((D) => ({ T: mask.positions.length, M: 4, H: 2, D }));
  const scalars = ({ D }: { D: number }) => ({ scale: 2 / Math.sqrt(D), window: 0 });
  const options = { axes, scalars, inputs: masksOf(mask) };
  conformance("flash_attention_forward", { reference: flashAttentionForward, ...options });
  conformance("flash_attention_backward", { reference: flashAttentionBackward, ...options });
});

// The head sizes that a GPU has its fastest kernels for, with masks that hide whole tiles, parts of one, and none.
describe("heads of 64 and 128 over several tiles", () => {
  const mask = packed([140], [75, 60, 50], [20, 9, 11]);
  const axes = [64, 128].map((D) => ({ T: mask.positions.length, M: 4, H: 2, D }));
  for (const window of [0, 40]) {
    const options = { axes, scalars: { scale: 0.1, window }, inputs: masksOf(mask) };
    describe(`window ${window}`, () => {
      conformance("flash_attention_forward", { reference: flashAttentionForward, ...options });
      conformance("flash_attention_backward", { reference: flashAttentionBackward, ...options });
    });
  }
});

const tree = packed([3, 2, 2], [2]);
gradcheck("flash_attention", {
  axes: { T: tree.positions.length, M: 4, H: 2, D: 3 },
  inputs: { qkv: "T,M,D" },
  forward: ({ qkv }, axes) => flashAttentionForward({ qkv, ...tree }, axes, { scale: 0.7, window: 4 }).y,
  backward: (dy, { qkv }, axes) => {
    const scalars = { scale: 0.7, window: 4 };
    const saved = flashAttentionForward({ qkv, ...tree }, axes, scalars);
    return { qkv: flashAttentionBackward({ dy, qkv, ...saved, ...tree }, axes, scalars).dqkv };
  },
});

const noise = (length: number, seed: number): Float64Array => {
  const random = new Random(seed);
  return Float64Array.from({ length }, () => Math.fround(2 * random.next() - 1));
};

/** Forward, then backward with what the forward pass returned. */
async function attend(
  backend: (typeof backends)[number],
  mask: Mask,
  { M, H, D }: { M: number; H: number; D: number },
  { qkv, dy }: Arrays<"qkv" | "dy">,
): Promise<Arrays<"y" | "lse" | "dqkv">> {
  const run = {
    axes: { T: mask.positions.length, M, H, D },
    dtypes: { t: "f32" } as const,
    scalars: { scale: 0.5, window: 0 },
  };
  const forward = await launch(backend, 2, "flash_attention_forward", { ...run, values: { qkv, ...mask } });
  const [y, lse] = [forward.y!.values, forward.lse!.values];
  const values = { dy, qkv, y, lse, ...mask };
  const backward = await launch(backend, 2, "flash_attention_backward", { ...run, values });
  return { y, lse, dqkv: backward.dqkv!.values };
}

describe.each(backends)("$name", (backend) => {
  const axes = { M: 6, H: 4, D: 16 };
  const row = axes.M * axes.D;
  const out = axes.H * axes.D;

  test("a pair that shares its prompt is the two sequences", async () => {
    const [prompt, chosen, rejected] = [37, 50, 71];
    const qkv = noise((prompt + chosen + rejected) * row, 1);
    const dy = noise((prompt + chosen + rejected) * out, 2);
    const dyFirst = noise(prompt * out, 3); // the share of the prompt's dy that the first sequence gets
    const pair = await attend(backend, packed([prompt, chosen, rejected]), axes, { qkv, dy });

    const rest = dy.subarray(0, prompt * out).map((value, i) => Math.fround(value - dyFirst[i]!));
    const without = (x: Float64Array, from: number, to: number, size: number) =>
      Float64Array.from([...x.subarray(0, from * size), ...x.subarray(to * size)]);
    const end = prompt + chosen;
    const first = { qkv: qkv.slice(0, end * row), dy: dy.slice(0, end * out) };
    first.dy.set(dyFirst);
    const second = { qkv: without(qkv, prompt, end, row), dy: without(dy, prompt, end, out) };
    second.dy.set(rest);
    const a = await attend(backend, packed([end]), axes, first);
    const b = await attend(backend, packed([prompt + rejected]), axes, second);

    const joined = (x: Float64Array, y: Float64Array, size: number) =>
      Float64Array.from([...x, ...y.subarray(prompt * size)]);
    expectClose("y", pair.y, joined(a.y, b.y, out));
    const dqkv = joined(a.dqkv, b.dqkv, row);
    for (let i = 0; i < prompt * row; i++) dqkv[i] = a.dqkv[i]! + b.dqkv[i]!;
    expectClose("dqkv", pair.dqkv, dqkv);
  });

  test.each([
    ["sequence_start", 2, -1, "0 <= sequence_start < 3"],
    ["sequence_start", 4, 2, "3 <= sequence_start < 5"], // falls
    ["sequence_start", 1, 2, "0 <= sequence_start < 2"], // behind its token
    ["visible_until", 3, 3, "4 <= visible_until < 7"], // it does not see itself
    ["visible_until", 5, 7, "6 <= visible_until < 7"], // beyond the batch
    ["visible_until", 0, -5, "1 <= visible_until < 7"],
  ] as const)("%s[%i] = %i is an error", async (name, index, value, expected) => {
    const mask = packed([3], [3]);
    mask[name][index] = value;
    const axes = { T: 6, M: 3, H: 1, D: 4 };
    const run = { axes, dtypes: { t: "f32" } as const, scalars: { scale: 1, window: 0 } };
    const values = { qkv: noise(72, 1), dy: noise(24, 2), y: noise(24, 3), lse: noise(6, 4), ...mask };
    for (const kernel of ["flash_attention_forward", "flash_attention_backward"] as const) {
      using own = backend.open(); // a stream that failed stays so
      await expect(launch({ ...backend, device: () => own }, 1, kernel, { ...run, values })).rejects.toMatchObject({
        code: "ERR_VALUE",
        message: `${kernel}: ${name}[${index}] = ${value}, expected ${expected}`,
      });
    }
  });

  test("what the mask hides changes no bit", async () => {
    const mask = packed([20, 30, 40], [25]);
    const qkv = noise(mask.positions.length * row, 1);
    const dy = noise(mask.positions.length * out, 2);
    const before = await attend(backend, mask, axes, { qkv, dy });
    const changed = qkv.map((value, i) => (i >= 20 * row && i < 50 * row ? 3 * value : value)); // the chosen answer
    const after = await attend(backend, mask, axes, { qkv: changed, dy });
    expect(after.y.subarray(50 * out)).toEqual(before.y.subarray(50 * out));
    expect(after.dqkv.subarray(50 * row)).toEqual(before.dqkv.subarray(50 * row));
    expect(after.y.subarray(20 * out, 50 * out)).not.toEqual(before.y.subarray(20 * out, 50 * out));
  });

  // Queries and keys are +-141.42 in one channel. First scores are 1e4 where it is the same, -1e4 or 0 elsewhere; then
  // all of them are -1e4.
  test.each(["some", "all"])("scores of 1e4, %s of them negative", async (kind) => {
    const mask = packed([90]);
    const qkv = noise(mask.positions.length * row, 1);
    for (let t = 0; t < mask.positions.length; t++) {
      for (let m = 0; m < axes.H + 1; m++) {
        const head = qkv.subarray((t * axes.M + m) * axes.D, (t * axes.M + m + 1) * axes.D).fill(0);
        const size = Math.fround(Math.sqrt(2e4));
        const isQuery = m < axes.H;
        if (kind === "all") head[0] = isQuery ? -size : size;
        if (kind === "some") head[t % 3] = size;
        if (kind === "some" && isQuery) head[(t + 1) % 3] = -size;
      }
    }
    const dy = noise(mask.positions.length * out, 2);
    const { y, lse, dqkv } = await attend(backend, mask, axes, { qkv, dy });
    const options = { scale: 0.5, window: 0 };
    const shape = { T: mask.positions.length, ...axes };
    const expected = flashAttentionForward({ qkv, ...mask }, shape, options);
    expectClose("y", y, expected.y);
    expectClose("lse", lse, expected.lse);
    // An lse of 1e4 is known to 1e-3, and so is the logarithm of p.
    const { dqkv: reference } = flashAttentionBackward({ dy, qkv, ...expected, ...mask }, shape, options);
    expectClose("dqkv", dqkv, reference, { tolerance: 3e-3 });
  });

  test("a NaN is not hidden by the softmax", async () => {
    const mask = packed([40]);
    const qkv = noise(mask.positions.length * row, 1);
    qkv[(10 * axes.M + axes.H) * axes.D] = Number.NaN; // in the key of token 10
    const { y } = await attend(backend, mask, axes, { qkv, dy: noise(mask.positions.length * out, 2) });
    expect(y.subarray(0, 10 * out).some(Number.isNaN)).toBe(false);
    expect(y.subarray(10 * out).every(Number.isNaN)).toBe(true);
  });
});
