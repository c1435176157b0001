import { ConfigError } from "../base/errors.js";
import type { Random } from "../base/random.js";
import type { Draw, LogitChange } from "../kernels/sample_tokens.js";
import type { SamplingOptions } from "./request.js";

type Options = { readonly [Key in keyof Omit<SamplingOptions, "seed" | "logitBias">]-?: number };

/** How the tokens of one answer are drawn: settings, random numbers, and for the penalties what it said. The device draws. */
export class Sampler {
  /** Whether a draw depends on the tokens before it. */
  readonly needsTokens: boolean;
  private readonly options: Options;
  private readonly logitBias: ReadonlyMap<number, number>;
  private readonly seen: Set<number>; // in the prompt or the answer, where repetition is penalised
  private readonly counts = new Map<number, number>(); // of the answer, where they are penalised

  /** Throws ConfigError for an option out of its range. */
  constructor(
    options: SamplingOptions,
    prompt: Int32Array,
    private readonly random: Random,
  ) {
    const { temperature = 1, topK = 0, topP = 1, minP = 0 } = options;
    const { repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0 } = options;
    this.options = { temperature, topK, topP, minP, repetitionPenalty, presencePenalty, frequencyPenalty };
    checkOptions(this.options);
    this.logitBias = options.logitBias ?? new Map();
    for (const bias of this.logitBias.values()) {
      if (!Number.isFinite(bias)) throw new ConfigError("logitBias", `${bias}, expected numbers`);
    }
    this.seen = new Set(repetitionPenalty === 1 ? [] : prompt);
    this.needsTokens = repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0;
  }

  /** How the next token is drawn. */
  draw(): Draw {
    return { ...this.options, random: this.options.temperature === 0 ? 0 : this.random.nextUint32() };
  }

  /** What becomes of the logits before the draw, in row `row` of those of `size` tokens. */
  changes(row: number, size: number): LogitChange[] {
    const { repetitionPenalty, presencePenalty, frequencyPenalty } = this.options;
    const ids = new Set([...this.seen, ...this.counts.keys(), ...this.logitBias.keys()]);
    const changes: LogitChange[] = [];
    for (const id of ids) {
      if (!(id >= 0 && id < size)) continue; // a bias of a token that there is not
      const count = this.counts.get(id) ?? 0;
      const penalty = count > 0 ? presencePenalty + count * frequencyPenalty : 0;
      const repetition = this.seen.has(id) ? repetitionPenalty : 1;
      changes.push({ row, id, repetition, shift: (this.logitBias.get(id) ?? 0) - penalty });
    }
    return changes;
  }

  /** A token of the answer is known. */
  note(token: number): void {
    const { repetitionPenalty, presencePenalty, frequencyPenalty } = this.options;
    if (repetitionPenalty !== 1) this.seen.add(token);
    if (presencePenalty !== 0 || frequencyPenalty !== 0) this.counts.set(token, (this.counts.get(token) ?? 0) + 1);
  }
}

/** Throws ConfigError for the first option that is out of its range. */
function checkOptions(options: Options): void {
  const { temperature, topK, topP, minP, repetitionPenalty, presencePenalty, frequencyPenalty } = options;
  const check = (key: string, found: number, isRight: boolean, expected: string): void => {
    if (!isRight) throw new ConfigError(key, `${found}, expected ${expected}`);
  };
  check("temperature", temperature, temperature >= 0 && temperature < Number.POSITIVE_INFINITY, "a number from 0 up");
  check("topK", topK, Number.isInteger(topK) && topK >= 0, "a whole number, 0 for no limit");
  check("topP", topP, topP > 0 && topP <= 1, "a number above 0 and at most 1");
  check("minP", minP, minP >= 0 && minP <= 1, "a number from 0 to 1");
  const isPenalty = repetitionPenalty > 0 && Number.isFinite(repetitionPenalty);
  check("repetitionPenalty", repetitionPenalty, isPenalty, "a number above 0");
  check("presencePenalty", presencePenalty, Number.isFinite(presencePenalty), "a number");
  check("frequencyPenalty", frequencyPenalty, Number.isFinite(frequencyPenalty), "a number");
}
