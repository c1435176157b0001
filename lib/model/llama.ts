import { embedding, embeddingBackward } from "../kernels/embedding.js";
import { fill } from "../kernels/fill.js";
import { Arena } from "../tensor/arena.js";
import type { Device } from "../tensor/device.js";
import type { Param, Tensor } from "../tensor/tensor.js";
import type { Rotation } from "./attention.js";
import { Block, type BlockSaved, type Recompute } from "./block.js";
import type { ModelConfig } from "./config.js";
import type { ModelInput } from "./input.js";
import { Norm, type NormSaved, type Residual } from "./norm.js";
import { modelParameters } from "./parameter_specs.js";
import { Parameters, type ParametersOptions } from "./parameters.js";
import { inverseFrequencies } from "./rope_frequencies.js";

// T = packed tokens, C = hidden size, V = vocabulary

/** What the backward pass may touch, layer by layer. */
export interface LlamaSaved {
  readonly input: ModelInput;
  /** What each block takes. */
  readonly inputs: readonly Tensor<"T,C">[];
  /** None where they are computed again. */
  readonly blocks: readonly BlockSaved[];
  readonly norm: NormSaved;
}

/**
 * A decoder of the Llama family (Touvron et al., arXiv:2302.13971), which Mistral shares but for its sliding window.
 * `backward` is `forward` read from the bottom.
 */
export class Llama implements Disposable {
  readonly parameters: Parameters;
  readonly blocks: readonly Block[];
  readonly norm: Norm;
  readonly embedding: Param<"V,C">;
  /** The head's weights: the embedding's, when they are tied. */
  readonly head: Param<"V,C">;
  readonly rotation: Rotation;
  private readonly constants: Arena;

  /** Allocates the weights; whoever loads or initialises them comes next. */
  constructor(
    device: Device,
    readonly config: ModelConfig,
    options: ParametersOptions,
  ) {
    this.parameters = new Parameters(device, modelParameters(config), options);
    this.blocks = Array.from({ length: config.numLayers }, (_, layer) => {
      return new Block(config, this.parameters, `model.layers.${layer}`);
    });
    this.norm = new Norm(this.parameters.get("model.norm.weight"), config.rmsNormEps);
    this.embedding = this.parameters.get("model.embed_tokens.weight");
    this.head = config.tieWordEmbeddings ? this.embedding : this.parameters.get("lm_head.weight");

    this.constants = new Arena(device);
    const rope = inverseFrequencies(config);
    this.rotation = {
      inverseFrequencies: this.constants.from(rope.inverseFrequencies),
      scaling: rope.attentionScaling,
    };
  }

  get device(): Device {
    return this.parameters.device;
  }

  /** Hidden states after the last norm; the head is applied by the loss, to the rows that need it. */
  forward(
    arena: Arena,
    input: ModelInput,
    recompute: Recompute = "none",
  ): { hidden: Tensor<"T,C">; saved: LlamaSaved } {
    let x: Residual = { x: embedding(arena, input.tokens, this.embedding.value) };
    const blocks: BlockSaved[] = [];
    const inputs: Tensor<"T,C">[] = [];
    for (const block of this.blocks) {
      const { y, saved } = block.forward(arena, x, input.mask, this.rotation, recompute);
      inputs.push(saved.attention.norm.x);
      if (recompute !== "block") blocks.push(saved);
      x = y;
    }
    const { y: hidden, saved: norm } = this.norm.forward(arena, x);
    return { hidden, saved: { input, inputs, blocks, norm } };
  }

  /** Adds to every gradient. */
  backward(arena: Arena, dhidden: Tensor<"T,C">, saved: LlamaSaved): void {
    const none = fill(arena.empty<"T,C">(dhidden.shape, dhidden.dtype), 0); // no residual passes the last norm
    let dx = this.norm.backward(arena, dhidden, none, saved.norm);
    for (const [layer, block] of [...this.blocks.entries()].reverse()) {
      dx = block.backward(arena, dx, saved.blocks[layer] ?? this.repeat(arena, layer, saved), this.rotation);
    }
    embeddingBackward(dx, saved.input.tokens, this.embedding.grad);
  }

  private repeat(arena: Arena, layer: number, { inputs, input }: LlamaSaved): BlockSaved {
    const own = arena.part("block");
    own.reset();
    return this.blocks[layer]!.forward(own, { x: inputs[layer]! }, input.mask, this.rotation).saved;
  }

  [Symbol.dispose](): void {
    this.parameters[Symbol.dispose]();
    this.constants[Symbol.dispose]();
  }
}
