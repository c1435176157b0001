import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";

import { addBias } from "../../lib/kernels/bias.js";
import { NativeError, native } from "../../lib/native/load.js";
import { Arena } from "../../lib/tensor/arena.js";
import { Device } from "../../lib/tensor/device.js";
import type { Tensor } from "../../lib/tensor/tensor.js";
import { joinMaster } from "../reference/adamw.js";
import { TEST_DEVICE } from "../test_device.js";

/** The code of the error that `body` throws or rejects with. */
async function codeOf(body: () => unknown): Promise<string> {
  try {
    await body();
  } catch (error) {
    expect(error).toBeInstanceOf(NativeError);
    return (error as NativeError).code;
  }
  return "no error";
}

test("work runs in the order it was enqueued, while the event loop goes on", async () => {
  using device = Device.cpu({ threads: 2 });
  using arena = new Arena(device);
  const n = 1 << 20;
  const one = arena.from<"F">(new Float32Array(n).fill(1));
  const sum = arena.from<"R,F">(new Float32Array(n), [1, n]);

  const started = performance.now();
  for (let i = 0; i < 200; i++) addBias(sum, one);
  const enqueued = performance.now() - started;
  const result = sum.readFloats();
  let turns = 0;
  const ticker = setInterval(() => turns++, 1);
  const values = await result;
  const ran = performance.now() - started;
  clearInterval(ticker);

  expect([values[0], values[n - 1]]).toEqual([200, 200]);
  expect(enqueued).toBeLessThan(ran / 2);
  expect(turns).toBeGreaterThan(0);
});

test("an error on the stream stays, names what failed, and reaches every later wait", async () => {
  using device = Device.cpu({ threads: 1 });
  using arena = new Arena(device);
  const x = arena.empty<"R,C">([1, 4], "f32");
  x.upload(new Float32Array([1, 2, 3, 4]));
  expect([...(await x.readFloats())]).toEqual([1, 2, 3, 4]);

  native.uploadTensor(x.handle, new Int32Array(4));
  await expect(device.sync()).rejects.toThrow("upload: integers cannot fill a tensor of floating-point numbers");
  x.upload(new Float32Array(4));
  await expect(x.read()).rejects.toThrow(/^upload: integers/);
  expect(await codeOf(() => device.sync())).toBe("ERR_VALUE");
});

test("handles end with their arena, and a slot's next owner has another", async () => {
  using device = Device.cpu({ threads: 1 });
  const arena = new Arena(device);
  const before = arena.empty<"C">([2], "f32");
  arena.reset();
  const after = arena.empty<"R,C">([2, 2], "f32");
  expect(after.handle).not.toBe(before.handle);
  expect(await codeOf(() => before.read())).toBe("ERR_DISPOSED");
  expect(await codeOf(() => addBias(after, before))).toBe("ERR_DISPOSED");
  arena[Symbol.dispose]();
  expect(await codeOf(() => after.upload(new Float32Array(4)))).toBe("ERR_DISPOSED");
  expect(await codeOf(() => arena.empty([1], "f32"))).toBe("ERR_DISPOSED");
});

test("an arena that repeats its step takes no more memory", () => {
  using device = Device.cpu({ threads: 1 });
  using arena = new Arena(device);
  const step = () => {
    for (let i = 1; i < 50; i++)
      arena.empty(
        ["R", "C"].map(() => 10 * i),
        "f32",
      );
    arena.reset();
  };
  step();
  const bytes = arena.bytes;
  step();
  step();
  expect(arena.bytes).toBe(bytes);
});

test("views share memory and stay inside it", async () => {
  using device = Device.cpu({ threads: 1 });
  using arena = new Arena(device);
  const x = arena.from<"N">(Float32Array.from([0, 1, 2, 3, 4, 5]));
  expect([...(await x.view([2, 2], 1).readFloats())]).toEqual([1, 2, 3, 4]);
  expect(() => x.view([2, 2], 3)).toThrow("view f32[2,2] at element 3 does not lie in f32[6]");
  expect(() => x.view([-1])).toThrow("axis 0 is -1");
});

test("sizes, offsets and thread counts are whole numbers that fit", async () => {
  using device = Device.cpu({ threads: 1 });
  using arena = new Arena(device);
  const x = arena.empty<"N">([4], "f32");
  expect(() => arena.empty([2 ** 32, 2 ** 32], "f32")).toThrow(
    "at most 2^53 elements, found f32[4294967296,4294967296]",
  );
  expect(() => x.view([2 ** 32, 2 ** 32])).toThrow("at most 2^53 elements");
  expect(() => x.view([1], 2 ** 63)).toThrow("argument 2 is 9223372036854776000, expected a whole number");
  expect(() => x.view([1], 2 ** 53)).toThrow("does not lie in f32[4]");
  expect(() => x.view([1], 0.5)).toThrow("argument 2 is 0.5, expected a whole number");
  expect(() => Device.cpu({ threads: -1 })).toThrow("threads is -1, expected 0 to 1024");
  expect(() => Device.cpu({ threads: 1e6 })).toThrow("threads is 1000000, expected 0 to 1024");
  expect(await codeOf(() => Device.cpu({ threads: Number.NaN }))).toBe("ERR_VALUE");
});

test("tensors of another device's stream are refused", async () => {
  using device = Device.cpu({ threads: 1 });
  using arena = new Arena(device);
  using elsewhere = Device.cpu({ threads: 1 });
  using arenaElsewhere = new Arena(elsewhere);
  const bias = arenaElsewhere.from<"C">(new Float32Array(4));
  const x = arena.from<"R,C">(new Float32Array(4), [1, 4]);
  expect(() => addBias(x, bias)).toThrow("bias_forward: x is on another stream");
  expect(await codeOf(() => native.readTensor(device.stream, bias.handle))).toBe("ERR_DEVICE");
});

test("an arena stays while a tensor of it is in use, and goes with the last one", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  using device = Device.cpu({ threads: 1 });
  const turns = async () => {
    for (let i = 0; i < 5; i++) {
      collect();
      await new Promise(setImmediate);
    }
  };
  let view: Tensor<"N"> | undefined = new Arena(device).from<"N">(Float32Array.from([1, 2, 3])).view([2], 1);
  const { handle } = view;
  await turns();
  expect([...(await view.readFloats())]).toEqual([2, 3]);
  view = undefined;
  await turns();
  expect(await codeOf(() => native.readTensor(device.stream, handle))).toBe("ERR_DISPOSED");
});

test("a bf16 tensor takes the nearest of what is uploaded, a u16 tensor what it lacks", async () => {
  using device = Device.open(TEST_DEVICE);
  using arena = new Arena(device);
  const values = Float32Array.from([
    1,
    1 + 2 ** -8,
    1 + 3 * 2 ** -8,
    -1 - 2 ** -23,
    2 ** -130 + 2 ** -149,
    3.4e38,
    Number.NaN,
  ]);
  const [upper, lower] = [arena.empty<"N">([7], "bf16"), arena.empty<"N">([7], "u16")];
  for (const half of [upper, lower]) half.upload(values);
  const [weights, low] = [await upper.readFloats(), await lower.read()];
  expect([...weights]).toEqual([1, 1 + 2 ** -7, 1 + 2 ** -6, -1, 2 ** -130, Infinity, Number.NaN]);
  expect([...weights].map((weight, i) => joinMaster(weight, low[i]!)).slice(0, 6)).toEqual([...values].slice(0, 6));
});

test("many uploads, small and large, arrive where they belong", async () => {
  using device = Device.open(TEST_DEVICE);
  using arena = new Arena(device);
  const sizes = [...new Array<number>(300).fill(1500), 100_000, 3, 20_000, 1];
  const valuesOf = (i: number) => Int32Array.from({ length: sizes[i]! }, (_, j) => 7919 * i + j);
  const tensors = sizes.map((_, i) => arena.from<"N">(valuesOf(i)));
  const arrived = await Promise.all(tensors.map((tensor) => tensor.read()));
  expect(arrived.every((values, i) => Buffer.from(values.buffer).equals(Buffer.from(valuesOf(i).buffer)))).toBe(true);
});

test("memory that the system refuses is an error with the size", async () => {
  using device = Device.cpu({ threads: 1 });
  expect(await codeOf(() => new Arena(device, { kept: 2 ** 52 }))).toBe("ERR_OUT_OF_MEMORY");
  expect(() => new Arena(device, { kept: 2 ** 52 })).toThrow(/refused 4503599627370496 bytes/);
});

test("an unknown instruction set is named with those that there are", () => {
  expect(() => Device.cpu({ instructionSet: "mmx" })).toThrow(
    /instruction set mmx: expected one this machine runs: portable/,
  );
});
