import type { ModelConfig } from "./config.js";
import type { RopeScaling } from "./rope_scaling.js";

export interface RopeFrequencies {
  readonly inverseFrequencies: Float32Array; // [D/2] radians per position
  /** Multiplies cos and sin; 1 but for yarn. */
  readonly attentionScaling: number;
}

type RopeConfig = Pick<ModelConfig, "headSize" | "ropeTheta" | "ropeScaling" | "maxPositionEmbeddings">;

/**
 * The rotary frequencies of a config: `theta^(-2i/D)` for i < D/2, stretched as `ropeScaling` says. Only `dynamic`
 * looks at `sequenceLength`, the number of positions in use, and only beyond `maxPositionEmbeddings`; a Llama, whose
 * frequencies are the same for all batches, gives none.
 *
 * Every step is rounded to f32 where PyTorch does, so that transformers' values come out to 2 units in the last place
 * (4 for `dynamic` beyond its length, where transformers computes the base in f32 and this does in f64).
 */
export function inverseFrequencies(config: RopeConfig, sequenceLength?: number): RopeFrequencies {
  const { headSize, ropeTheta, ropeScaling: scaling } = config;
  switch (scaling.type) {
    case "none":
      return { inverseFrequencies: powers(ropeTheta, headSize), attentionScaling: 1 };
    case "linear":
      return { inverseFrequencies: powers(ropeTheta, headSize).map((f) => f / scaling.factor), attentionScaling: 1 };
    case "dynamic": {
      const base = dynamicBase(config, scaling.factor, sequenceLength);
      return { inverseFrequencies: powers(base, headSize), attentionScaling: 1 };
    }
    case "llama3": {
      const stretched = powers(ropeTheta, headSize).map((f) => stretchLlama3(f, scaling));
      return { inverseFrequencies: stretched, attentionScaling: 1 };
    }
    case "yarn":
      return { inverseFrequencies: stretchYarn(config, scaling), attentionScaling: scaling.attentionFactor };
    default:
      return scaling satisfies never;
  }
}

const { fround, PI } = Math;

/** `base^(-2i/D)`, by the same roundings as `1 / base ** (arange(0, D, 2).float() / D)`. */
function powers(base: number, headSize: number): Float32Array {
  return Float32Array.from({ length: headSize / 2 }, (_, i) => 1 / positivePower(base, headSize, i));
}

function positivePower(base: number, headSize: number, i: number): number {
  return fround(fround(base) ** fround((2 * i) / headSize));
}

/**
 * NTK-aware base for n > N positions, N = maxPositionEmbeddings: `base * (s n / N - (s - 1))^(D / (D - 2))`.
 * With D = 2 there is one frequency, 1, whatever the base.
 */
function dynamicBase(config: RopeConfig, factor: number, sequenceLength = 0): number {
  const { headSize, ropeTheta, maxPositionEmbeddings } = config;
  if (sequenceLength <= maxPositionEmbeddings || headSize === 2) return ropeTheta;
  const stretch = (factor * sequenceLength) / maxPositionEmbeddings - (factor - 1);
  return ropeTheta * stretch ** (headSize / (headSize - 2));
}

/**
 * Llama 3.1, with N the original length and wavelength w = 2 pi / f:
 *   w < N / high    f
 *   w > N / low     f / factor
 *   between         (1 - t) f / factor + t f,  t = (N / w - low) / (high - low)
 */
function stretchLlama3(f: number, scaling: RopeScaling & { type: "llama3" }): number {
  const { factor, lowFreqFactor: low, highFreqFactor: high, originalMaxPositionEmbeddings: length } = scaling;
  const wavelength = fround(fround(2 * PI) / f);
  if (wavelength < fround(length / high)) return f;
  if (wavelength > fround(length / low)) return f / factor;
  const t = fround(fround(fround(length / wavelength) - low) / (high - low));
  return fround(fround(fround(1 - t) * f) / factor) + fround(t * f);
}

/**
 * YaRN (arXiv:2309.00071): dimensions that turn more than `betaFast` times over the original length N keep their
 * frequency, those that turn less than `betaSlow` times are divided by the factor, a linear ramp joins the two.
 * The dimension that turns r times is `D ln(N / (2 pi r)) / (2 ln theta)`.
 */
function stretchYarn(config: RopeConfig, scaling: RopeScaling & { type: "yarn" }): Float32Array {
  const { headSize, ropeTheta } = config;
  const dimensionOf = (turns: number): number =>
    (headSize * Math.log(scaling.originalMaxPositionEmbeddings / (turns * 2 * PI))) / (2 * Math.log(ropeTheta));
  const bounds = [dimensionOf(scaling.betaFast), dimensionOf(scaling.betaSlow)] as const;
  const low = Math.max(scaling.truncate ? Math.floor(bounds[0]) : bounds[0], 0);
  let high = Math.min(scaling.truncate ? Math.ceil(bounds[1]) : bounds[1], headSize - 1);
  if (low === high) high += 0.001;

  return Float32Array.from({ length: headSize / 2 }, (_, i) => {
    const power = positivePower(ropeTheta, headSize, i);
    const ramp = Math.min(Math.max(fround(fround(i - fround(low)) / fround(high - low)), 0), 1);
    const kept = fround(1 - ramp);
    const interpolated = fround(1 / fround(fround(scaling.factor) * power));
    return fround(interpolated * fround(1 - kept)) + fround(fround(1 / power) * kept);
  });
}
