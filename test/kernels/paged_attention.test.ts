import { describe, expect, test } from "vitest";

import { Random } from "../../lib/base/random.js";
import { pagedAttention as bound } from "../../lib/kernels/paged_attention.js";
import { Arena } from "../../lib/tensor/arena.js";
import { flashAttentionForward } from "../reference/flash_attention.js";
import { kvCacheWrite, pagedAttention } from "../reference/paged_attention.js";
import { conformance, expectClose } from "./conformance.js";
import { type Backend, backends, isSanitized, launch } from "./launch.js";
import { type Chunk, cacheOf, type PagedBatch, pagedBatch } from "./paged_batch.js";

// One slot, a cache written in another order than the tokens', more tokens than a task takes.
conformance("kv_cache_write", {
  reference: kvCacheWrite,
  axes: [
    { T: 1, N: 1, M: 3, K: 1, D: 1 },
    { T: 7, N: 11, M: 8, K: 2, D: 20 },
    { T: 40, N: 64, M: 6, K: 1, D: 16 },
  ],
  inputs: { slots: ({ T, N }) => Array.from({ length: T }, (_, t) => N - 1 - t) },
});

const made = new Map<string, Float64Array>();
/** The same numbers for the same arguments. */
const noise = (length: number, seed: number, stream = 0): Float64Array => {
  const key = `${length} ${seed} ${stream}`;
  let values = made.get(key);
  if (values === undefined) {
    const random = new Random(seed, stream);
    values = Float64Array.from({ length }, () => Math.fround(2 * random.next() - 1));
    made.set(key, values);
  }
  return values;
};

const whole = (...lengths: number[]): Chunk[] => lengths.map((count, sequence) => ({ sequence, from: 0, count }));
/** The last token of sequences that are so long. */
const next = (...lengths: number[]): Chunk[] => lengths.map((n, sequence) => ({ sequence, from: n - 1, count: 1 }));

const layouts: Record<string, { chunks: Chunk[]; pageSize: number; window?: number }> = {
  "one token": { chunks: whole(1), pageSize: 1 },
  "the next tokens of sequences of different lengths": { chunks: next(1, 40, 129, 7), pageSize: 16 },
  "the next token of a long sequence": { chunks: next(600), pageSize: 8 },
  "prompts, pages of an odd size": { chunks: whole(70, 1, 33), pageSize: 5 },
  "a chunk behind others, and next tokens": {
    chunks: [{ sequence: 1, from: 250, count: 40 }, ...next(20), { sequence: 2, from: 100, count: 3 }],
    pageSize: 32,
  },
  "tokens in no order": {
    chunks: [5, 3, 4, 9, 0].map((from, i) => ({ sequence: i % 2, from, count: 1 })),
    pageSize: 4,
  },
  "chunks of one sequence far apart, with a window": {
    chunks: [0, 40, 41, 90, 4].map((from) => ({ sequence: 0, from, count: 1 + (from % 3) })),
    pageSize: 4,
    window: 6,
  },
  "sequences that end inside a tile of tokens": {
    chunks: [...whole(3, 2, 5, 1, 7, 20), ...next(64, 65)],
    pageSize: 16,
  },
  "a chunk of a long sequence, beside next tokens of long ones": {
    chunks: [...next(700, 390), { sequence: 2, from: 470, count: 45 }],
    pageSize: 16,
  },
  "a page longer than a sequence": { chunks: whole(9), pageSize: 100 },
  "window 1": { chunks: [...whole(20, 3), { sequence: 2, from: 130, count: 4 }], pageSize: 4, window: 1 },
  "window 50": { chunks: [...next(600), { sequence: 1, from: 100, count: 90 }], pageSize: 16, window: 50 },
  "a window longer than the sequences": { chunks: whole(45, 10), pageSize: 16, window: 1000 },
};
const heads = [
  { M: 12, H: 8, K: 2, D: 16 },
  { M: 6, H: 2, K: 2, D: 20 },
];
/** 15, 16 and 17 query heads of a key head, and more than 64. */
const shares = [
  { M: 17, H: 15, K: 1, D: 8 },
  { M: 36, H: 32, K: 2, D: 8 },
  { M: 19, H: 17, K: 1, D: 8 },
  { M: 73, H: 71, K: 1, D: 8 },
];

/** Numbers for a batch, the same for both dtypes; slots that nobody wrote are NaN. */
const inputsOf = (batch: PagedBatch) => ({
  pages: () => batch.pages,
  sequences: () => batch.sequences,
  positions: () => batch.positions,
  k_cache: ({ K, D }: { K: number; D: number }) => cacheOf(batch, K * D, (b, p) => noise(K * D, 2 * b, p)),
  v_cache: ({ K, D }: { K: number; D: number }) => cacheOf(batch, K * D, (b, p) => noise(K * D, 2 * b + 1, p)),
});

for (const [name, { chunks, pageSize, window = 0 }] of Object.entries(layouts)) {
  const batch = pagedBatch(chunks, pageSize, window);
  describe(name, () => {
    conformance("paged_attention", {
      reference: pagedAttention,
      axes: heads.map((h) => ({ ...batch.axes, ...h })),
      inputs: inputsOf(batch),
      scalars: { scale: 0.7, window, page_size: pageSize },
    });
  });
}

describe("heads", () => {
  const batch = pagedBatch([...whole(21), { sequence: 1, from: 60, count: 5 }], 8);
  conformance("paged_attention", {
    reference: pagedAttention,
    axes: [
      ...[1, 3, 8, 48, 64, 80, 96, 107, 128, 256].map((D) => ({ ...batch.axes, M: 5, H: 3, K: 1, D })),
      { ...batch.axes, M: 54, H: 36, K: 9, D: 4 },
    ],
    inputs: inputsOf(batch),
    scalars: ({ D }) => ({ scale: 2 / Math.sqrt(D), window: 0, page_size: 8 }),
  });
  const long = pagedBatch([...next(300, 20), { sequence: 2, from: 260, count: 3 }], 16);
  conformance("paged_attention", {
    reference: pagedAttention,
    axes: [...shares, { M: 10, H: 6, K: 2, D: 128 }, { M: 6, H: 4, K: 1, D: 256 }].map((h) => ({ ...long.axes, ...h })),
    inputs: inputsOf(long),
    scalars: ({ D }) => ({ scale: 2 / Math.sqrt(D), window: 0, page_size: 16 }),
  });
});

describe.each(backends)("$name", (backend) => {
  const dtypes = { t: "f32" } as const;

  test("a chunk over a cache is the last rows of attention over all", async () => {
    const axes = { M: 6, H: 4, K: 1, D: 16 };
    const [T, count] = [29, 4];
    const qkv = noise(T * axes.M * axes.D, 1);
    const mask = {
      positions: Float64Array.from({ length: T }, (_, t) => t),
      sequence_start: new Float64Array(T),
      visible_until: new Float64Array(T).fill(T),
    };
    const expected = flashAttentionForward({ qkv, ...mask }, { T, ...axes }, { scale: 0.3, window: 0 }).y;

    const batch = pagedBatch([{ sequence: 0, from: T - count, count }], 8);
    const empty = new Float64Array(batch.axes.N * axes.K * axes.D).fill(Number.NaN);
    const slots = mask.positions.map((t) => batch.slot(0, t)!);
    const write = { axes: { ...axes, T, N: batch.axes.N }, dtypes, scalars: {} };
    const values = { qkv, slots, k_cache: empty, v_cache: empty };
    const cache = await launch(backend, 2, "kv_cache_write", { ...write, values });
    const { y } = await launch(backend, 2, "paged_attention", {
      axes: { ...axes, ...batch.axes },
      dtypes,
      scalars: { scale: 0.3, window: 0, page_size: 8 },
      values: {
        ...asFloats(batch),
        qkv: qkv.slice((T - count) * axes.M * axes.D),
        k_cache: cache.k_cache!.values,
        v_cache: cache.v_cache!.values,
      },
    });
    expectClose("y", y!.values, expected.slice((T - count) * axes.H * axes.D));
  });

  test("scores of 1e4", async () => {
    const { y } = await launch(backend, 1, "paged_attention", {
      axes: { T: 1, B: 1, P: 3, M: 3, H: 1, K: 1, N: 3, D: 2 },
      dtypes,
      scalars: { scale: 1, window: 0, page_size: 1 },
      values: {
        qkv: Float64Array.of(-100, 0, 0, 0, 0, 0),
        k_cache: Float64Array.of(100, 0, 50, 0, 100, 0),
        v_cache: Float64Array.of(1, 2, 3, 4, 5, 6),
        pages: Float64Array.of(2, 1, 0),
        sequences: Float64Array.of(0),
        positions: Float64Array.of(2),
      },
    });
    expect([...y!.values]).toEqual([3, 4]);
  });

  // Keys of a batch's end are infinite: what a token does not see must not be multiplied by 0 either.
  test("what other tokens of a chunk hold stays with them", async () => {
    const axes = { M: 3, H: 1, K: 1, D: 4 };
    const batch = pagedBatch(whole(6), 2);
    const last = (row: Float64Array, p: number) => (p === 5 ? row.map(() => Number.POSITIVE_INFINITY) : row);
    const { y } = await launch(backend, 1, "paged_attention", {
      axes: { ...axes, ...batch.axes },
      dtypes,
      scalars: { scale: 1, window: 0, page_size: 2 },
      values: {
        ...asFloats(batch),
        qkv: noise(6 * axes.M * axes.D, 1),
        k_cache: cacheOf(batch, 4, (_, p) => last(noise(4, 2, p), p)),
        v_cache: cacheOf(batch, 4, (_, p) => last(noise(4, 3, p), p)),
      },
    });
    expect([...y!.values].map(Number.isFinite)).toEqual(Array.from({ length: 24 }, (_, i) => i < 20));
  });

  const lengths = [300, 70, 5];
  const cut = (sequence: number, size: number): Chunk[] =>
    Array.from({ length: Math.ceil(lengths[sequence]! / size) }, (_, i) => {
      const from = i * size;
      return { sequence, from, count: Math.min(size, lengths[sequence]! - from) };
    });
  const single = (sequence: number, position: number): Chunk => ({ sequence, from: position, count: 1 });
  /** Calls by the chunks of each. All have tokens in common with the first, which has them all. */
  const calls: { chunks: Chunk[]; pageSize: number; seed?: number; threads?: number }[] = [
    { chunks: whole(...lengths), pageSize: 16 },
    { chunks: whole(...lengths), pageSize: 7, seed: 2, threads: 3 },
    ...[90, 128].flatMap((size) => cut(0, size).map((chunk) => ({ chunks: [chunk], pageSize: 16, threads: 2 }))),
    ...cut(1, 8).map((chunk) => ({ chunks: [single(0, 299), chunk, ...cut(2, 5)], pageSize: 32 })),
    { chunks: [single(1, 69), single(2, 0), single(0, 131), single(2, 4)], pageSize: 3 },
    { chunks: [3, 2, 1, 0].map((from) => single(2, from)), pageSize: 2 },
    ...[0, 1, 31, 32, 127, 128, 255, 256, 257, 299].map((position) => {
      return { chunks: [single(0, position)], pageSize: 1 + (position % 50), threads: 1 + (position % 3) };
    }),
  ];
  // On a GPU bf16 splits keys as the whole call asks for.
  describe.each(backend.name.startsWith("cuda") ? (["f32"] as const) : (["f32", "bf16"] as const))("%s", (t) => {
    test.skipIf(isSanitized).each([
      { window: 0, H: 4, K: 2, D: 16 },
      { window: 0, H: 3, K: 3, D: 5 },
      { window: 0, H: 16, K: 1, D: 24 },
      { window: 90, H: 4, K: 2, D: 16 },
    ])("a token's result is the same bits in any call, %o", async (shape) => {
      const seen = new Map<string, string>();
      for (const call of calls) {
        for (const [token, bits] of await run(backend, t, call, shape)) {
          const before = seen.get(token);
          if (before !== undefined && before !== bits) expect.fail(`token ${token}: ${bits}, and ${before} before`);
          seen.set(token, bits);
        }
      }
      expect(seen.size).toBe(375);
    });
  });

  /** The bits of every token of a call, by its sequence and position. */
  async function run(
    backend: Backend,
    t: "f32" | "bf16",
    { chunks, pageSize, seed = 1, threads = 1 }: (typeof calls)[number],
    { window, H, K, D }: { window: number; H: number; K: number; D: number },
  ): Promise<Map<string, string>> {
    const batch = pagedBatch(chunks, pageSize, window, seed);
    const inputs = inputsOf(batch);
    const tokens = [...batch.positions].map((position, i) => [batch.sequences[i]!, position] as const);
    const { y } = await launch(backend, threads, "paged_attention", {
      axes: { ...batch.axes, M: H + 2 * K, H, K, D },
      dtypes: { t },
      scalars: { scale: 0.9, window, page_size: pageSize },
      values: {
        ...asFloats(batch),
        qkv: Float64Array.from(tokens.flatMap(([b, p]) => Array.from(noise((H + 2 * K) * D, 100 + b, p)))),
        k_cache: inputs.k_cache({ K, D }),
        v_cache: inputs.v_cache({ K, D }),
      },
    });
    const bytes = Buffer.from(y!.bits.buffer, y!.bits.byteOffset, y!.bits.byteLength);
    const size = bytes.length / tokens.length;
    return new Map(tokens.map(([b, p], i) => [`${b}, ${p}`, bytes.toString("hex", i * size, (i + 1) * size)]));
  }

  describe.each(["f32", "bf16"] as const)("%s", (t) => {
    test.each([
      { what: { sequences: [0, 2] }, message: /: sequences\[1\] = 2, expected 0 <= sequences < 2$/ },
      { what: { sequences: [-1, 0] }, message: /: sequences\[0\] = -1, expected 0 <= sequences < 2$/ },
      { what: { positions: [-1, 0] }, message: /: positions\[0\] = -1, expected 0 <= positions < 6$/ },
      { what: { positions: [0, 6] }, message: /: positions\[1\] = 6, expected 0 <= positions < 6$/ },
      {
        what: { sequences: [1, 1], positions: [2 ** 31 - 1, -(2 ** 31)] },
        message: /: positions\[0\] = 2147483647, expected 0 <= positions < 6$/,
      },
      { what: { pages: [3, -1, 0, 1, 2, 9] }, message: /: pages\[1\] = -1, expected 0 <= pages < 4$/ },
      { what: { pages: [3, 1, 0, 1, 4, 9] }, message: /: pages\[4\] = 4, expected 0 <= pages < 4$/ },
      { what: { pages: [3, 1, 7, 8, 4, 9] }, message: /: pages\[2\] = 7, expected 0 <= pages < 4$/ },
      { what: { pages: [3, 1, 0, 9, 4, 9], window: 2 }, message: /: pages\[4\] = 4, expected 0 <= pages < 4$/ },
      {
        what: { sequences: [1, 1], positions: [3, 4], pages: [9, 9, 9, 1, 2, 7] },
        message: /: pages\[5\] = 7, expected 0 <= pages < 4$/,
      },
    ])("indices outside of what they index are errors: $what", async ({ what, message }) => {
      const { pages, sequences, positions, window } = {
        pages: [3, 1, 0, 1, 2, 9],
        sequences: [0, 1],
        positions: [5, 3],
        window: 0,
        ...what,
      };
      using device = backend.open();
      using arena = new Arena(device);
      const zeros = <A extends string>(...shape: number[]) => {
        const tensor = arena.empty<A>(shape, t);
        tensor.upload(new (t === "f32" ? Float32Array : Uint16Array)(shape.reduce((n, dim) => n * dim)));
        return tensor;
      };
      const where = {
        pages: arena.from<"B,P">(Int32Array.from(pages), [2, 3]),
        sequences: arena.from<"T">(Int32Array.from(sequences)),
        positions: arena.from<"T">(Int32Array.from(positions)),
      };
      const cache = { k: zeros<"N,K,D">(8, 1, 8), v: zeros<"N,K,D">(8, 1, 8), pageSize: 2 };
      bound(arena, zeros<"T,M,D">(2, 3, 8), cache, where, { numHeads: 1, scale: 1, window });
      await expect(device.sync()).rejects.toThrow(message);
    });

    // Without a difference between keys, a token gets the mean of the values up to its own: of 0, 1, 2, ...
    test("the layers of a step see its tokens, and the next step's see those that lie in their place", async () => {
      using device = backend.open();
      using kept = new Arena(device);
      using arena = new Arena(device);
      const filled = <A extends string>(arena: Arena, shape: number[], value: (i: number) => number) => {
        const tensor = arena.empty<A>(shape, t);
        tensor.upload(Float32Array.from({ length: shape.reduce((n, dim) => n * dim) }, (_, i) => value(i)));
        return tensor;
      };
      const k = filled<"N,K,D">(kept, [256, 1, 8], () => 0);
      const v = filled<"N,K,D">(kept, [256, 1, 8], (i) => Math.floor(i / 8));
      for (const positions of [
        [4, 5],
        [200, 201],
        [1, 2],
        [0, 6],
      ]) {
        const qkv = filled<"T,M,D">(arena, [2, 3, 8], () => 1);
        const where = {
          pages: arena.from<"B,P">(Int32Array.of(0, 1), [1, 2]),
          sequences: arena.from<"T">(Int32Array.of(0, 0)),
          positions: arena.from<"T">(Int32Array.from(positions)),
        };
        for (let layer = 0; layer < 2; layer++) {
          const y = bound(arena, qkv, { k, v, pageSize: 128 }, where, { numHeads: 1, scale: 1, window: 0 });
          const read = await y.readFloats();
          for (const [i, position] of positions.entries()) {
            expect(read[8 * i], `position ${position}, layer ${layer}`).toBeCloseTo(position / 2, 4);
          }
        }
        arena.reset();
      }
    });
  });
});

test("a head of more than 256 channels is refused", () => {
  const axes = { T: 1, B: 1, P: 1, M: 3, H: 1, K: 1, N: 1, D: 257 };
  const sizes = { qkv: 3 * 257, k_cache: 257, v_cache: 257, pages: 1, sequences: 1, positions: 1 };
  const values = Object.fromEntries(Object.entries(sizes).map(([name, size]) => [name, new Float64Array(size)]));
  const run = { axes, dtypes: { t: "f32" } as const, scalars: { scale: 1, window: 0, page_size: 1 }, values };
  return expect(launch(backends[0]!, 1, "paged_attention", run)).rejects.toThrow(
    /^paged_attention: expected D <= 256, found .*D = 257/,
  );
});

test.each([0, 3])("a page size of %i for 8 slots is refused", (page_size) => {
  const run = { axes: { T: 1, B: 1, P: 1, M: 3, H: 1, K: 1, N: 8, D: 1 }, dtypes: { t: "f32" } as const };
  const values = Object.fromEntries(
    Object.entries({ qkv: 3, k_cache: 8, v_cache: 8, pages: 1, sequences: 1, positions: 1 }).map(([name, size]) => [
      name,
      new Float64Array(size),
    ]),
  );
  const scalars = { scale: 1, window: 0, page_size };
  return expect(launch(backends[0]!, 1, "paged_attention", { ...run, scalars, values })).rejects.toThrow(
    /^paged_attention: expected a page_size that divides N, found .*N = 8/,
  );
});

const asFloats = ({ pages, sequences, positions }: PagedBatch) => ({
  pages: Float64Array.from(pages),
  sequences: Float64Array.from(sequences),
  positions: Float64Array.from(positions),
});
