import { assert } from "../base/errors.js";
import { Arena } from "../tensor/arena.js";
import type { Device } from "../tensor/device.js";
import type { AnyTensor, DType, Param, Tensor } from "../tensor/tensor.js";
import type { ParameterSpec } from "./parameter_specs.js";

export interface ParametersOptions {
  readonly dtype: "f32" | "bf16";
  /** Whether bf16 weights that are trained are the upper half of an f32 master; default yes, else they are all there is. */
  readonly master?: boolean;
  /** Without gradients a model can only run forward. */
  readonly trainable: boolean;
}

/**
 * A model's weights in one flat arena, and their gradients in another: one AdamW launch, one norm, one fill for all of
 * them. The order is that of the specs, the decayed first, so `numDecayed` is where weight decay ends.
 */
export class Parameters implements Disposable {
  readonly weights: Tensor<"N">;
  /** What bf16 weights lack of their f32 master, as split_master in native/kernels/adamw_storage.h has it; empty without. */
  readonly low: Tensor<"L">;
  readonly numDecayed: number;
  private readonly arenas: Arena[] = [];
  private readonly allGradients: Tensor<"N"> | undefined;
  private readonly firstElement = new Map<string, number>();

  constructor(
    device: Device,
    readonly specs: readonly ParameterSpec[],
    options: ParametersOptions,
  ) {
    let elements = 0;
    let decayed = 0;
    for (const { name, shape, decay } of specs) {
      assert(!decay || decayed === elements, `${name} is decayed but follows one that is not`);
      this.firstElement.set(name, elements);
      elements += sizeOf(shape);
      if (decay) decayed = elements;
    }
    this.numDecayed = decayed;
    const allocate = <A extends string>(size: number, dtype: DType): Tensor<A> => {
      const arena = new Arena(device, { kept: size * (dtype === "f32" ? 4 : 2) });
      this.arenas.push(arena);
      return arena.empty<A>([size], dtype);
    };
    const { dtype, master = true, trainable } = options;
    this.weights = allocate(elements, dtype);
    this.low = allocate(trainable && dtype === "bf16" && master ? elements : 0, "u16");
    this.allGradients = trainable ? allocate(elements, "f32") : undefined;
  }

  get device(): Device {
    return this.weights.device;
  }

  get dtype(): DType {
    return this.weights.dtype;
  }

  get trainable(): boolean {
    return this.allGradients !== undefined;
  }

  /** All gradients, f32. */
  get gradients(): Tensor<"N"> {
    assert(this.allGradients, "these parameters have no gradients");
    return this.allGradients;
  }

  /** Bytes of the weights, their master included, and of the gradients. */
  get bytes(): { readonly weights: number; readonly gradients: number } {
    const [weights, low, gradients] = this.arenas.map(({ bytes }) => bytes);
    return { weights: weights! + low!, gradients: gradients ?? 0 };
  }

  has(name: string): boolean {
    return this.firstElement.has(name);
  }

  get<A extends string>(name: string): Param<A> {
    const spec = this.specs.find((other) => other.name === name);
    assert(spec, `no parameter is named ${name}`);
    return this.view<A>(name, spec.shape);
  }

  /**
   * What a parameter's numbers are to be put in: its weight, and the rest of its master where there is one. Numbers that
   * are loaded into both are kept exactly.
   */
  halves(name: string): AnyTensor[] {
    const { value } = this.get(name);
    return this.low.size === 0 ? [value] : [value, this.low.view(value.shape, this.firstElement.get(name)!)];
  }

  /** Parameters that lie one behind the other, seen as one: q, k and v as a single matrix. */
  fused<A extends string>(names: readonly string[]): Param<A> {
    const specs = names.map((name) => this.specs.find((spec) => spec.name === name)!);
    specs.reduce((end, { name, shape }) => {
      assert(this.firstElement.get(name) === end, `${name} does not follow the parameter before it`);
      return end + sizeOf(shape);
    }, this.firstElement.get(names[0]!)!);
    const rows = specs.reduce((sum, { shape }) => sum + shape[0]!, 0);
    return this.view<A>(names[0]!, [rows, ...specs[0]!.shape.slice(1)]);
  }

  private view<A extends string>(name: string, shape: readonly number[]): Param<A> {
    const first = this.firstElement.get(name)!;
    const value = this.weights.view<A>(shape, first);
    const grad = this.allGradients?.view<A>(shape, first);
    return {
      value,
      get grad(): Tensor<A> {
        assert(grad, `${name} has no gradient`);
        return grad;
      },
    };
  }

  [Symbol.dispose](): void {
    for (const arena of this.arenas) arena[Symbol.dispose]();
  }
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((n, dim) => n * dim, 1);
