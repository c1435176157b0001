import type { TokenSequence } from "../data/encode.js";
import { type PackedBatch, type PackOptions, packSequences } from "../data/pack.js";
import { fill } from "../kernels/fill.js";
import { type TokenLogProbs, tokenLogProbs, tokenLogProbsBackward } from "../kernels/token_log_probs.js";
import { uploadInput } from "../model/input.js";
import type { Llama } from "../model/llama.js";
import { Arena, type ArenaBytes } from "../tensor/arena.js";
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
        const { saved, head } = this.run(batch, { learns: true });

        const dlogProbs = fill(arena.empty<"N">([batch.rows.length], "f32"), -scale);
        const dhidden = tokenLogProbsBackward(arena, dlogProbs, head.saved, model.head.grad);
        model.backward(arena, dhidden, saved);
        return this.finish(batch, head);
      }),
    );
  }

  async forward(rows: readonly TokenSequence[]): Promise<Metrics> {
    return merged(
      packSequences(rows, { tokenBudget: this.budgets.tokenBudget }).map((batch) => {
        return this.finish(batch, this.run(batch, { learns: false }).head);
      }),
    );
  }

  private run(batch: PackedBatch, { learns }: { readonly learns: boolean }) {
    const { arena, model } = this;
    const recompute = learns ? this.options.recompute : "block"; // so nothing is kept for a backward pass
    const { hidden, saved } = model.forward(arena, uploadInput(arena, batch), recompute);
    const pairs = { rows: arena.from<"N">(batch.rows), labels: arena.from<"N">(batch.labels) };
    const keepLogits = learns && batch.labels.length <= this.budgets.labelBudget;
    return { saved, head: tokenLogProbs(arena, { hidden, weight: model.head.value, ...pairs }, { keepLogits }) };
  }

  /** Enqueues the reading of what the metrics need, then gives the activations' memory back. */
  private finish(batch: PackedBatch, head: TokenLogProbs): Promise<Metrics> {
    const reads = [head.logProbs, head.entropy, head.correct].map((tensor) => tensor.readFloats());
    this.arena.reset(); // while the device still works: whatever reuses this memory is enqueued behind it
    return Promise.all(reads).then(([logProbs, entropy, correct]) => {
      const metrics = new Metrics();
      const labels = batch.labels.length;
      metrics.add("loss", -sumOf(logProbs!), labels);
      metrics.add("entropy", sumOf(entropy!), labels);
      metrics.add("mean_token_accuracy", sumOf(correct!), labels);
      return metrics;
    });
  }

  [Symbol.dispose](): void {
    this.arena[Symbol.dispose]();
  }
}
