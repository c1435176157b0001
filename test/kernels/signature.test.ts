import { beforeAll, expect, test } from "vitest";

import { call } from "../../lib/kernels/call.js";
import { native } from "../../lib/native/load.js";
import { Arena } from "../../lib/tensor/arena.js";
import { Device } from "../../lib/tensor/device.js";
import type { AnyTensor, DType } from "../../lib/tensor/tensor.js";

let arena: Arena;
beforeAll(() => {
  arena = new Arena(Device.cpu({ threads: 1 }));
});

const tensor = (dtype: DType, ...shape: number[]): AnyTensor => arena.empty(shape, dtype);
const rmsNorm = (change: Record<string, AnyTensor>) => () => {
  const args = { x: tensor("f32", 2, 8), weight: tensor("f32", 8), y: tensor("f32", 2, 8), rstd: tensor("f32", 2) };
  call("rms_norm_forward", { ...args, eps: 1, ...change });
};

test("arguments that fit the declaration are taken", () => {
  expect(rmsNorm({})).not.toThrow();
});

test("a wrong dtype is told with what it has to agree with", () => {
  expect(rmsNorm({ weight: tensor("bf16", 8) })).toThrow(
    /^rms_norm_forward: weight is bf16\[8\], expected t\[C\] with t = f32 \(from x\)$/,
  );
  expect(rmsNorm({ rstd: tensor("bf16", 2) })).toThrow(/^rms_norm_forward: rstd is bf16\[2\], expected f32\[R\]$/);
  expect(rmsNorm({ x: tensor("i32", 2, 8) })).toThrow(/^rms_norm_forward: x is i32\[2,8\], expected t\[R,C\]$/);
});

test("a wrong shape is told with what it has to agree with", () => {
  expect(rmsNorm({ weight: tensor("f32", 9) })).toThrow(
    /^rms_norm_forward: weight is f32\[9\], expected t\[C\] with C = 8 \(from x\)$/,
  );
  expect(rmsNorm({ y: tensor("f32", 3, 8) })).toThrow(
    /^rms_norm_forward: y is f32\[3,8\], expected t\[R,C\] with R = 2 \(from x\)$/,
  );
  expect(rmsNorm({ x: tensor("f32", 2, 2, 4) })).toThrow(/^rms_norm_forward: x is f32\[2,2,4\], expected t\[R,C\]$/);
});

test("an axis that is a number is that number", () => {
  const run = () => call("global_norm", { x: tensor("f32", 4), norm: tensor("f32", 2) });
  expect(run).toThrow(/^global_norm: norm is f32\[2\], expected f32\[1\]$/);
});

test("two dtype letters are two dtypes", () => {
  expect(() => call("cast", { x: tensor("f32", 4), y: tensor("bf16", 4) })).not.toThrow();
  expect(() => call("cast", { x: tensor("f32", 4), y: tensor("bf16", 5) })).toThrow(
    /^cast: y is bf16\[5\], expected t\[N\] with N = 4 \(from x\)$/,
  );
});

test("a relation between axes that does not hold is told with the axes found", () => {
  const run = () => call("swiglu_forward", { gate_up: tensor("f32", 2, 8), y: tensor("f32", 2, 3) });
  expect(run).toThrow(/^swiglu_forward: expected G = 2 F, found F = 3, G = 8, R = 2$/);
});

test("an argument that is missing is named", () => {
  const { fill } = native.kernels;
  const x = tensor("f32", 4);
  expect(() => fill!(x.device.stream, x.handle)).toThrow(/^fill: value was not given$/);
  expect(() => fill!(x.device.stream)).toThrow(/^fill: x was not given$/);
  expect(() => call("fill", { x } as never)).toThrow(/^fill: value was not given$/);
});

test("a tensor that ended with its arena is refused", () => {
  const other = new Arena(arena.device);
  const x: AnyTensor = other.empty([4], "f32");
  other.reset();
  expect(() => call("fill", { x, value: 0 })).toThrow(/^tensor \d+ has been disposed of$/);
});
