import { type ContentNode, type PagePool, ROOT } from "./page_pool.js";
import type { Sampler } from "./sampler.js";
import type { TextStream } from "./text_stream.js";

/** One answer while it grows: its tokens, and the pages of the cache with the keys and values of the first of them. */
export class Sequence {
  /** Tokens whose keys and values are in the cache. */
  numComputed = 0;
  /** Tokens of the prompt whose keys and values were there when it began; undefined until it has begun. */
  numShared: number | undefined;
  /** Whether it may use what the cache has: not where every token of the prompt has to be looked at. */
  mayShare: boolean;
  isEnded = false;
  /** Tokens behind the known ones that the device draws, or has drawn: of work that is enqueued. */
  numAhead = 0;
  readonly pages: number[] = [];
  private readonly all: Int32Array;
  private size: number;
  private numPublished = 0;
  private node: ContentNode = ROOT;

  constructor(
    private readonly prompt: Int32Array,
    readonly maxNewTokens: number,
    readonly sampler: Sampler,
    readonly text: TextStream,
    options: { readonly mayShare: boolean },
  ) {
    this.mayShare = options.mayShare;
    this.all = new Int32Array(prompt.length + maxNewTokens);
    this.all.set(prompt);
    this.size = prompt.length;
  }

  /** Prompt and answer so far. */
  get tokens(): Int32Array {
    return this.all.subarray(0, this.size);
  }

  get promptLength(): number {
    return this.prompt.length;
  }

  get numNewTokens(): number {
    return this.size - this.prompt.length;
  }

  /** Tokens that the next one is waiting for: 1 while the answer grows, 0 when its last token is on the way. */
  get numPending(): number {
    const goesOn = this.numNewTokens + this.numAhead < this.maxNewTokens;
    return this.size + (goesOn ? this.numAhead : 0) - this.numComputed;
  }

  /** The answer's next token. */
  append(token: number): void {
    this.all[this.size++] = token;
    this.sampler.note(token);
  }

  /** Shares what the cache has of the tokens' beginning. The last token is left: what follows it is asked. */
  sharePages(pool: PagePool, pageSize: number): void {
    while (this.numComputed + pageSize < this.size) {
      const found = pool.share(this.node, this.all.subarray(this.numComputed, this.numComputed + pageSize));
      if (found === undefined) break;
      this.pages.push(found.page);
      this.node = found.node;
      this.numComputed += pageSize;
      this.numPublished++;
    }
  }

  /** It runs, with what it shares, for the first time or again. */
  begin(): void {
    this.numShared ??= this.numComputed;
  }

  /** So many more tokens will be in the cache for whatever is enqueued next. */
  advance(count: number, pool: PagePool, pageSize: number): void {
    this.numComputed += count;
    this.publish(pool, pageSize);
  }

  /** Pages that are full, of tokens that are known, are there for others. */
  publish(pool: PagePool, pageSize: number): void {
    const end = Math.min(this.numComputed, this.size);
    for (; (this.numPublished + 1) * pageSize <= end; this.numPublished++) {
      const begin = this.numPublished * pageSize;
      const tokens = this.all.subarray(begin, begin + pageSize);
      this.node = pool.publish(this.pages[this.numPublished]!, this.node, tokens);
    }
  }

  /** Gives all pages back: it begins again, or has ended. */
  releasePages(pool: PagePool): void {
    pool.release(this.pages);
    this.pages.length = 0;
    [this.numComputed, this.numPublished, this.node] = [0, 0, ROOT];
  }
}
