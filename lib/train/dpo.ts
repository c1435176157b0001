import type { TokenPair } from "../data/encode.js";
import { type PackedBatch, type PackOptions, packPairs } from "../data/pack.js";
import { type DpoLoss, dpoLoss } from "../kernels/dpo_loss.js";
import { segmentSum, segmentSumBackward } from "../kernels/segment_sum.js";
import { type TokenLogProbs, tokenLogProbs, tokenLogProbsBackward } from "../kernels/token_log_probs.js";
import { uploadInput } from "../model/input.js";
import type { Llama, LlamaSaved } from "../model/llama.js";
import { Arena, type ArenaBytes } from "../tensor/arena.js";
import type { Tensor } from "../tensor/tensor.js";
import { Metrics, merged, sumOf } from "./metrics.js";
import { budgetsOf, type DeviceTask, type TaskOptions } from "./task.js";

// N = labels, P = pairs, S = 2 P sequences: the chosen answers, then the rejected ones

/** A pair and what the frozen model gives its answers, as sums over their tokens. */
export interface ReferencedPair extends TokenPair {
  readonly refChosen: number;
  readonly refRejected: number;
}

export interface DpoOptions extends TaskOptions {
  readonly beta: number;
  readonly labelSmoothing: number;
}

interface Forward {
  readonly saved: LlamaSaved;
  readonly head: TokenLogProbs;
  readonly segments: Tensor<"N">;
  readonly sums: Tensor<"S">;
}

/** Direct preference optimisation against log-probabilities of the frozen model that were computed before. */
export class DpoTask implements DeviceTask<ReferencedPair> {
  private readonly arena: Arena;
  private readonly budgets: Required<PackOptions>;

  constructor(
    private readonly model: Llama,
    private readonly options: DpoOptions,
  ) {
    this.arena = new Arena(model.device, options.reserve);
    this.budgets = budgetsOf(options, model.config.vocabSize);
  }

  get peak(): ArenaBytes {
    return this.arena.peak;
  }

  count(rows: readonly ReferencedPair[]): number {
    return rows.length;
  }

  countTokens(rows: readonly ReferencedPair[]): number {
    return rows.reduce((n, { prompt, chosen, rejected }) => n + 2 * prompt.length + chosen.length + rejected.length, 0);
  }

  async forwardBackward(rows: readonly ReferencedPair[], scale: number): Promise<Metrics> {
    const batches = packPairs(rows, this.budgets);
    return merged(
      batches.map((batch) => {
        const { arena, model } = this;
        const forward = this.run(batch, { learns: true });
        const loss = this.loss(batch, rows, forward.sums, scale);

        const dlogProbs = segmentSumBackward(arena, loss.dpolicy, forward.segments);
        const dhidden = tokenLogProbsBackward(arena, dlogProbs, forward.head.saved, model.head.grad);
        model.backward(arena, dhidden, forward.saved);
        return this.finish(batch, forward, loss);
      }),
    );
  }

  async forward(rows: readonly ReferencedPair[]): Promise<Metrics> {
    const batches = packPairs(rows, { tokenBudget: this.budgets.tokenBudget });
    return merged(
      batches.map((batch) => {
        const forward = this.run(batch, { learns: false });
        return this.finish(batch, forward, this.loss(batch, rows, forward.sums, 0));
      }),
    );
  }

  /** Summed log-probabilities of both answers of every pair under the model as it is, for use as the reference. */
  async logProbs(pairs: readonly TokenPair[]): Promise<{ refChosen: number; refRejected: number }[]> {
    const result: { refChosen: number; refRejected: number }[] = new Array(pairs.length);
    const reads = packPairs(pairs, { tokenBudget: this.budgets.tokenBudget }).map(async (batch) => {
      const reading = this.run(batch, { learns: false }).sums.readFloats();
      this.arena.reset();
      const sums = await reading;
      const P = batch.items.length;
      batch.items.forEach((item, p) => {
        result[item] = { refChosen: sums[p]!, refRejected: sums[P + p]! };
      });
    });
    await Promise.all(reads);
    return result;
  }

  private run(batch: PackedBatch, { learns }: { readonly learns: boolean }): Forward {
    const { arena, model } = this;
    const recompute = learns ? this.options.recompute : "block"; // so nothing is kept for a backward pass
    const { hidden, saved } = model.forward(arena, uploadInput(arena, batch), recompute);
    const pairs = { rows: arena.from<"N">(batch.rows), labels: arena.from<"N">(batch.labels) };
    const keepLogits = learns && batch.labels.length <= this.budgets.labelBudget;
    const head = tokenLogProbs(arena, { hidden, weight: model.head.value, ...pairs }, { keepLogits });
    const segments = arena.from<"N">(batch.sequences);
    const sums = segmentSum(arena, head.logProbs, segments, batch.numSequences).view<"S">([batch.numSequences]);
    return { saved, head, segments, sums };
  }

  private loss(batch: PackedBatch, rows: readonly ReferencedPair[], sums: Tensor<"S">, gradScale: number): DpoLoss {
    const P = batch.items.length;
    const { beta, labelSmoothing } = this.options;
    const reference = new Float32Array(2 * P);
    batch.items.forEach((item, p) => {
      reference[p] = rows[item]!.refChosen;
      reference[P + p] = rows[item]!.refRejected;
    });
    return dpoLoss(this.arena, sums, this.arena.from<"S">(reference), { beta, labelSmoothing, gradScale });
  }

  /** Enqueues the reading of what the metrics need, then gives the activations' memory back. */
  private finish(batch: PackedBatch, { head, sums }: Forward, loss: DpoLoss): Promise<Metrics> {
    const tensors = {
      losses: loss.loss,
      chosen: loss.chosenReward,
      rejected: loss.rejectedReward,
      logProbs: sums,
      entropy: head.entropy,
      correct: head.correct,
      meanLogit: head.meanLogit,
    };
    const reads = Object.entries(tensors).map(async ([name, tensor]) => [name, await tensor.readFloats()] as const);
    this.arena.reset(); // while the device still works: whatever reuses this memory is enqueued behind it
    return Promise.all(reads).then((values) => {
      return pairMetrics(batch, Object.fromEntries(values) as Record<keyof typeof tensors, Float32Array>);
    });
  }

  [Symbol.dispose](): void {
    this.arena[Symbol.dispose]();
  }
}

interface PairValues {
  readonly losses: Float32Array; // [P]
  readonly chosen: Float32Array; // [P], rewards
  readonly rejected: Float32Array;
  readonly logProbs: Float32Array; // [S]
  readonly entropy: Float32Array; // [N]
  readonly correct: Float32Array;
  readonly meanLogit: Float32Array;
}

/** TRL's metrics of a batch. A batch's labels are those of all chosen answers, then those of all rejected ones. */
function pairMetrics(batch: PackedBatch, values: PairValues): Metrics {
  const { losses, chosen, rejected, logProbs, entropy, correct, meanLogit } = values;
  const P = batch.items.length;
  const N = batch.labels.length;
  const numChosen = batch.sequences.findIndex((sequence) => sequence >= P);
  const metrics = new Metrics();
  metrics.add("loss", sumOf(losses), P);
  metrics.add("entropy", sumOf(entropy), N);
  metrics.add("logits/chosen", sumOf(meanLogit, 0, numChosen), numChosen);
  metrics.add("logits/rejected", sumOf(meanLogit, numChosen), N - numChosen);
  metrics.add("mean_token_accuracy", sumOf(correct, 0, numChosen), numChosen);
  metrics.add("rewards/chosen", sumOf(chosen), P);
  metrics.add("rewards/rejected", sumOf(rejected), P);
  const inOrder = chosen.filter((reward, p) => reward > rejected[p]!);
  metrics.add("rewards/accuracies", inOrder.length, P);
  metrics.add("rewards/margins", sumOf(chosen) - sumOf(rejected), P);
  metrics.add("logps/chosen", sumOf(logProbs, 0, P), P);
  metrics.add("logps/rejected", sumOf(logProbs, P), P);
  return metrics;
}
