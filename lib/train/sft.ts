import type { TokenSequence } from "../data/encode.js";
import { type PackedBatch, type PackOptions, packSequences } from "../data/pack.js";
import { fill } from "../kernels/fill.js";
import { type TokenLogProbs, tokenLogProbs, tokenLogProbsBackward } from "../kernels/token_log_probs.js";
import { uploadInput } from "../model/input.js";
import type { Llama } from "../model/llama.js";
import { Arena, type ArenaBytes } from "../tensor/arena.js";
import type { Tensor } from "../tensor/tensor.js";
import { Metrics, merged, sumOf } from "./metrics.js";
import { budgetsOf, type DeviceTask, type TaskOptions } from "./task.js";

/** Supervised fine-tuning: the cross-entropy of the trainable tokens, each given those before it. */
export class SftTask implements DeviceTask<TokenSequence> {
  private readonly arena: Arena;
  private readonly budgets: Required<PackOptions>;

  constructor(
    private readonly model: Llama,
    private readonly options: TaskOptions,
  ) {
    this.arena = new Arena(model.device, options.reserve);
    this.budgets = budgetsOf(options, model.config.vocabSize);
  }

  get peak(): ArenaBytes {
    return this.arena.peak;
  }

  count(rows: readonly TokenSequence[]): number {
    return rows.reduce((n, { trainable }) => n + sumOf(trainable, 1), 0);
  }

  countTokens(rows: readonly TokenSequence[]): number {
    return rows.reduce((n, { ids }) => n + ids.length, 0);
  }

  async forwardBackward(rows: readonly TokenSequence[], scale: number): Promise<Metrics> {
    return merged(
      packSequences(rows, this.budgets).map((batch) => {
        const { arena, model } = this;
        const { hidden, saved } = model.forward(arena, uploadInput(arena, batch), this.options.recompute);
        const dhidden = arena.empty<"T,C">(hidden.shape, hidden.dtype);
        const metrics = sharesOf(batch, this.budgets.labelBudget).map((share) => {
          return this.learn(share, hidden, dhidden, scale);
        });
        model.backward(arena, dhidden, saved);
        arena.reset(); // while the device still works: whatever reuses this memory is enqueued behind it
        return merged(metrics);
      }),
    );
  }

  async forward(rows: readonly TokenSequence[]): Promise<Metrics> {
    return merged(
      packSequences(rows, { tokenBudget: this.budgets.tokenBudget }).map((batch) => {
        const { arena, model } = this;
        const { hidden } = model.forward(arena, uploadInput(arena, batch), "block"); // keeps nothing for a backward pass
        const pairs = { rows: arena.from<"N">(batch.rows), labels: arena.from<"N">(batch.labels) };
        const head = tokenLogProbs(arena, { hidden, weight: model.head.value, ...pairs }, { keepLogits: false });
        const metrics = metricsOf(head);
        arena.reset();
        return metrics;
      }),
    );
  }

  /** The head's both passes over a share of the labels: what they add to the loss is known before they have run. */
  private learn(share: Share, hidden: Tensor<"T,C">, dhidden: Tensor<"T,C">, scale: number): Promise<Metrics> {
    const { head: weight } = this.model;
    const arena = this.arena.part("head"); // every share reads its logits where the one before had its own
    arena.reset();
    const C = hidden.shape[1]!;
    const tokens = (of: Tensor<"T,C">) => of.view<"T,C">([share.lastToken - share.firstToken, C], share.firstToken * C);
    const pairs = { rows: arena.from<"N">(share.rows), labels: arena.from<"N">(share.labels) };
    const head = tokenLogProbs(arena, { hidden: tokens(hidden), weight: weight.value, ...pairs }, { keepLogits: true });
    const dlogProbs = fill(arena.empty<"N">([share.labels.length], "f32"), -scale);
    tokenLogProbsBackward(arena, dlogProbs, head.saved, weight.grad, tokens(dhidden));
    return metricsOf(head);
  }

  [Symbol.dispose](): void {
    this.arena[Symbol.dispose]();
  }
}

/** Tokens one behind the other, and the labels among them, whose rows are counted from the first. */
interface Share {
  readonly firstToken: number;
  readonly lastToken: number;
  readonly rows: Int32Array;
  readonly labels: Int32Array;
}

/** All tokens of a batch in as few shares as the budget allows, with about as many labels each. */
function sharesOf({ tokens, rows, labels }: PackedBatch, labelBudget: number): Share[] {
  const count = Math.max(1, Math.ceil(labels.length / labelBudget));
  const firsts = Array.from({ length: count + 1 }, (_, i) => Math.floor((i * labels.length) / count));
  const tokenAt = (label: number) => (label === 0 ? 0 : (rows[label] ?? tokens.length));
  return Array.from({ length: count }, (_, i) => {
    const [first, last] = [firsts[i]!, firsts[i + 1]!];
    const firstToken = tokenAt(first);
    return {
      firstToken,
      lastToken: i + 1 === count ? tokens.length : tokenAt(last),
      rows: rows.slice(first, last).map((row) => row - firstToken),
      labels: labels.slice(first, last),
    };
  });
}

/** Enqueues the reading of what the metrics need. */
function metricsOf(head: TokenLogProbs): Promise<Metrics> {
  const labels = head.logProbs.size;
  const reads = [head.logProbs, head.entropy, head.correct].map((tensor) => tensor.readFloats());
  return Promise.all(reads).then(([logProbs, entropy, correct]) => {
    const metrics = new Metrics();
    metrics.add("loss", -sumOf(logProbs!), labels);
    metrics.add("entropy", sumOf(entropy!), labels);
    metrics.add("mean_token_accuracy", sumOf(correct!), labels);
    return metrics;
  });
}
