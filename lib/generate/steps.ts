import { adjustLogits, sampleTokens } from "../kernels/sample_tokens.js";
import { decode } from "../model/decode.js";
import { KvCache } from "../model/kv_cache.js";
import type { Llama } from "../model/llama.js";
import { Arena } from "../tensor/arena.js";
import type { Tensor } from "../tensor/tensor.js";
import { type Drawn, type Part, packParts } from "./parts.js";

/** What came of a part. */
export interface Outcome {
  readonly part: Part;
  /** The logits behind each of its tokens that are scored. */
  readonly scored: readonly Float32Array[];
  readonly token: number | undefined;
  /** The logits by which the token was drawn, before penalties. */
  readonly logits: Float32Array | undefined;
}

/** Enqueues steps: tokens through the model, their keys and values into the cache, logits, and the next tokens by them. */
export class Steps implements Disposable {
  private readonly cache: KvCache;
  private readonly arena: Arena;
  /** For the tokens that are drawn in a step, which the next one reads. */
  private readonly kept: Arena;
  private last: Drawn | undefined;

  constructor(
    private readonly model: Llama,
    { pages, pageSize }: { readonly pages: number; readonly pageSize: number },
  ) {
    const { device, config, parameters } = model;
    this.cache = new KvCache(device, config, { pages, pageSize, dtype: parameters.dtype });
    this.arena = new Arena(device);
    this.kept = new Arena(device);
  }

  /**
   * The parts' tokens are in the cache for whatever is enqueued from here on. The last token of a part may be one that the
   * step before draws.
   */
  enqueue(parts: readonly Part[]): Promise<Outcome[]> {
    const { model, arena, cache } = this;
    // Rows of logits: first those by which tokens are drawn, at their end and behind them those that are asked.
    const [plain, kept] = [parts.filter(isPlain), parts.filter(({ draws, keepsLogits }) => draws && keepsLogits)];
    const drawn = [...plain, ...kept];
    const asked = [
      ...drawn.map((part) => ({ part, at: part.count - 1 })),
      ...parts.flatMap((part) => part.scored.map((at) => ({ part, at }))),
    ];
    arena.reset();
    const logits = decode(model, arena, cache, packParts(parts, asked, cache.pageSize, this.last));
    const floats = asked.length > plain.length ? rowsFrom(logits!, plain.length).readFloats() : undefined;
    const tokens = drawn.length > 0 ? this.draw(logits!, drawn) : undefined;
    this.last = tokens && { tokens, sequences: new Map(drawn.map(({ sequence }, row) => [sequence, row])) };
    const ids = tokens?.read() as Promise<Int32Array> | undefined;
    return this.collect(parts, drawn, { numPlain: plain.length, floats, tokens: ids });
  }

  /** The next tokens of the sequences that the first rows are of. */
  private draw(logits: Tensor<"R,V">, drawn: readonly Part[]): Tensor<"R"> {
    const V = logits.shape[1]!;
    const rows = logits.shape[0] === drawn.length ? logits : logits.view<"R,V">([drawn.length, V]);
    const changes = drawn.flatMap(({ sequence }, row) => sequence.sampler.changes(row, V));
    if (changes.length > 0) adjustLogits(this.arena, rows, changes);
    const draws = drawn.map(({ sequence }) => sequence.sampler.draw());
    this.kept.reset(); // whatever reads the tokens of the step before is enqueued
    return sampleTokens(this.arena, rows, draws, this.kept);
  }

  private async collect(parts: readonly Part[], drawn: readonly Part[], reads: Reads): Promise<Outcome[]> {
    const [tokens, floats] = await Promise.all([reads.tokens, reads.floats]);
    if (tokens === undefined && floats === undefined) await this.model.device.sync();
    const V = this.model.config.vocabSize;
    const logitsOf = (row: number): Float32Array =>
      floats!.subarray((row - reads.numPlain) * V, (row - reads.numPlain + 1) * V);
    const rows = new Map(drawn.map((part, row) => [part, row]));
    let scored = drawn.length;
    return parts.map((part) => {
      const row = rows.get(part) ?? -1;
      const logits = row >= reads.numPlain ? logitsOf(row) : undefined;
      return { part, scored: part.scored.map(() => logitsOf(scored++)), token: tokens?.[row], logits };
    });
  }

  [Symbol.dispose](): void {
    for (const owner of [this.cache, this.arena, this.kept]) owner[Symbol.dispose]();
  }
}

interface Reads {
  /** Rows before the first whose logits are asked. */
  readonly numPlain: number;
  readonly floats: Promise<Float32Array> | undefined;
  readonly tokens: Promise<Int32Array> | undefined;
}

/** Whether a part's next token is drawn, and nothing else is asked of its logits. */
const isPlain = ({ draws, keepsLogits }: Part): boolean => draws && !keepsLogits;

function rowsFrom(logits: Tensor<"R,V">, first: number): Tensor<"R,V"> {
  const [R, V] = logits.shape as [number, number];
  return first === 0 ? logits : logits.view<"R,V">([R - first, V], first * V);
}
