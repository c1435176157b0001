import { expect, test } from "vitest";

import { Random } from "../../lib/base/random.js";
import type { DType } from "../../lib/tensor/tensor.js";
import {
  type Arrays,
  type Axes,
  type Backend,
  backends,
  type DTypes,
  fieldsOf,
  type Launch,
  launch,
  type Outcome,
  resolve,
  rounded,
  type Scalars,
  tensorsOf,
} from "./launch.js";

export type { Arrays, Axes, Scalars } from "./launch.js";

/** Fills one tensor: token ids, positions, anything that is not noise in [-1, 1). */
export type Fill<A extends string> = (axes: Axes<A>, random: Random) => ArrayLike<number>;

export interface Conformance<I extends string, A extends string, S extends string> {
  /**
   * In f64, straight from the formula. Takes every in and update; returns every out and update (its new value) and what
   * is added to every acc.
   */
  reference(inputs: Arrays<I>, axes: Axes<A>, scalars: Scalars<S>): Arrays;
  /** Every axis letter of the declaration, the ones that follow from others included. */
  readonly axes: readonly (Axes<NoInfer<A>> | ((dtypes: DTypes) => Axes<NoInfer<A>>))[];
  /** Chosen so that a kernel that forgets one fails. */
  readonly scalars?: Scalars<NoInfer<S>> | ((axes: Axes<NoInfer<A>>) => Scalars<NoInfer<S>>);
  readonly inputs?: Readonly<Record<string, Fill<NoInfer<A>>>>;
  /** What to compare, where it is not the outputs one by one: values of several that are one number. */
  readonly observe?: (
    outcome: Readonly<Record<string, Outcome>>,
    axes: Axes<NoInfer<A>>,
  ) => Readonly<Record<string, Outcome>>;
  /** Matrices between input and output are rounded to bf16 when t = bf16: f32 results are then as coarse as bf16 ones. */
  readonly roundsInside?: boolean;
}

// Relative to the largest reference value of the tensor. bf16 keeps 8 bits: rounding once costs up to 2^-8.
const TOLERANCE: Record<DType, number> = { f32: 2e-5, bf16: 8e-3, i32: 0, u16: 0, u8: 0 };
const F32_EPSILON = 2 ** -24;

/**
 * Runs one kernel on every backend, dtype and shape and compares it with an f64 reference; then with more threads, which
 * must not change a bit. The declaration says what to allocate: accumulators start at random values, so a kernel that
 * overwrites instead of adding fails, as does one that forgets an output or writes outside of one (see launch).
 */
export function conformance<I extends string, A extends string, S extends string>(
  kernel: string,
  options: Conformance<I, A, S>,
): void {
  for (const axesOf of options.axes) {
    for (const dtypes of dtypeCases(kernel)) {
      const axes = typeof axesOf === "function" ? axesOf(dtypes) : axesOf;
      const label = Object.entries({ ...dtypes, ...axes }).map(([letter, value]) => `${letter}=${value}`);
      let run: Case | undefined; // made by the first test that runs, shared by all backends
      for (const backend of backends) {
        test(`${kernel} ${backend.name} ${label.join(" ")}`, async () => {
          run ??= makeCase(kernel, axes, dtypes, options);
          await check(kernel, backend, run, options);
        });
      }
    }
  }
}

interface Case extends Launch {
  readonly expected: Arrays;
}

function makeCase<I extends string, A extends string, S extends string>(
  kernel: string,
  axes: Axes<A>,
  dtypes: DTypes,
  { reference, scalars: given, inputs = {} }: Conformance<I, A, S>,
): Case {
  const random = new Random(1);
  const scalars = asDeclared(kernel, typeof given === "function" ? given(axes) : (given ?? {})) as Scalars<S>;
  const values: Arrays = {};
  const read: Arrays = {};
  for (const { name, role, spec } of tensorsOf(kernel)) {
    if (role === "out") continue;
    const { dtype, shape } = resolve(spec, axes, dtypes);
    const size = shape.reduce((n, dim) => n * dim, 1);
    const noise = () => Float64Array.from({ length: size }, () => 2 * random.next() - 1);
    values[name] = rounded(dtype, inputs[name]?.(axes, random) ?? noise());
    if (role !== "acc") read[name] = values[name].slice();
  }
  return { axes, dtypes, scalars, values, expected: reference(read as Arrays<I>, axes, scalars) };
}

/** An f32 scalar reaches the kernel rounded: the reference gets what it gets. */
function asDeclared(kernel: string, scalars: Scalars): Scalars {
  const isF32 = (name: string) => fieldsOf(kernel).some((field) => field.name === name && field.spec === "f32");
  return Object.fromEntries(
    Object.entries(scalars).map(([name, value]) => [name, isF32(name) ? Math.fround(value) : value]),
  );
}

async function check(
  kernel: string,
  backend: Backend,
  run: Case,
  {
    roundsInside = false,
    observe = (outcome) => outcome,
  }: Pick<Conformance<string, string, string>, "roundsInside" | "observe">,
): Promise<void> {
  const outcome = await launch(backend, 1, kernel, run);
  const roles = new Map(tensorsOf(kernel).map(({ name, role }) => [name, role]));
  for (const [name, { dtype, values }] of Object.entries(observe(outcome, run.axes))) {
    if (roles.get(name) === "in") continue;
    const expected = run.expected[name];
    if (!expected) throw new Error(`the reference of ${kernel} does not return ${name}`);
    const start = roles.get(name) === "acc" ? run.values[name]! : new Float64Array(values.length);
    const coarse = roundsInside && Object.values(run.dtypes).includes("bf16");
    const tolerance = TOLERANCE[coarse && dtype === "f32" ? "bf16" : dtype];
    expectClose(`${kernel}.${name}`, values, expected, { tolerance, start });
  }
  expectSameBits(kernel, await launch(backend, 3, kernel, run), outcome);
}

/** `actual - start` against `expected`, relative to the largest expected value, with room for one rounding of `start`. */
export function expectClose(
  label: string,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { tolerance = TOLERANCE.f32, start }: { tolerance?: number; start?: ArrayLike<number> } = {},
): void {
  expect(actual.length, `${label}: length`).toBe(expected.length);
  let scale = 1e-30;
  for (let i = 0; i < expected.length; i++) scale = Math.max(scale, Math.abs(expected[i]!));
  for (let i = 0; i < expected.length; i++) {
    const before = start?.[i] ?? 0;
    const error = Math.abs(actual[i]! - before - expected[i]!);
    const allowed = tolerance * scale + F32_EPSILON * 2 * Math.abs(before);
    if (error <= allowed || Object.is(actual[i], expected[i])) continue;
    expect.fail(`${label}[${i}] = ${actual[i]! - before}, expected ${expected[i]}: ${error} > ${allowed}`);
  }
}

/** Thread counts, and runs, must not change a bit. */
export function expectSameBits(
  label: string,
  a: Readonly<Record<string, Outcome>>,
  b: Readonly<Record<string, Outcome>>,
): void {
  for (const name of Object.keys(a)) {
    const [left, right] = [a[name]!.bits, b[name]!.bits];
    if (Buffer.compare(new Uint8Array(left.buffer), new Uint8Array(right.buffer)) === 0) continue;
    const at = left.findIndex((value, i) => !Object.is(value, right[i]));
    expect.fail(`${label}: ${name}[${at}] depends on the number of threads: ${left[at]} and ${right[at]}`);
  }
}

/** f32 and bf16 for each dtype letter of the declaration. */
function dtypeCases(kernel: string): DTypes[] {
  const letters = new Set(fieldsOf(kernel).flatMap(({ spec }) => /^([a-z])\[/.exec(spec)?.[1] ?? []));
  let cases: DTypes[] = [{}];
  for (const letter of letters) {
    cases = cases.flatMap((dtypes) => (["f32", "bf16"] as const).map((dtype) => ({ ...dtypes, [letter]: dtype })));
  }
  return cases;
}
