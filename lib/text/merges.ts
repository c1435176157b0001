/** How a BPE model's `vocab` and `merges` stand in tokenizer.json: a merge is "a b" or ["a", "b"]. */
export interface BpeModel {
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: readonly (string | readonly [string, string])[];
  readonly byte_fallback?: boolean;
}

const CACHE_ENTRIES = 100_000;
const CACHED_LENGTH = 64;

/**
 * Byte-pair encoding of a text by the rank of its merges. Gives what applying the lowest-ranked merge, leftmost first,
 * again and again gives.
 *
 * Text is first cut wherever no merge can reach across, which is between two characters that no merge has as the end
 * of its left and the start of its right part. For vocabularies that keep to words this leaves words, whose tokens are
 * remembered. A vocabulary whose tokens cross words is cut less, and stays correct.
 */
export class Merges {
  private readonly symbols: string[] = [];
  private readonly symbolOf = new Map<string, number>();
  private readonly merged = new Map<number, { readonly rank: number; readonly symbol: number }>();
  private readonly joints = new Set<number>();
  private readonly cache = new Map<string, readonly string[]>();

  constructor(model: BpeModel) {
    for (const token of Object.keys(model.vocab)) this.intern(token);
    model.merges.forEach((merge, rank) => {
      const [left, right] = typeof merge === "string" ? splitMerge(merge) : merge;
      const pair = this.key(this.intern(left), this.intern(right));
      // A pair that is listed twice takes its last rank, as in the reference implementation's hash map.
      this.merged.set(pair, { rank, symbol: this.intern(left + right) });
      this.joints.add(joint(lastCodePoint(left), right.codePointAt(0)!));
    });
  }

  /** The tokens of `text`, in order; characters outside the vocabulary come out as they are. */
  split(text: string): string[] {
    const tokens: string[] = [];
    let begin = 0;
    let previous = -1;
    for (let i = 0; i < text.length; ) {
      const code = text.codePointAt(i)!;
      if (previous >= 0 && !this.joints.has(joint(previous, code))) {
        for (const token of this.splitPiece(text.slice(begin, i))) tokens.push(token);
        begin = i;
      }
      previous = code;
      i += code > 0xffff ? 2 : 1;
    }
    if (begin < text.length) for (const token of this.splitPiece(text.slice(begin))) tokens.push(token);
    return tokens;
  }

  private splitPiece(piece: string): readonly string[] {
    if (piece.length > CACHED_LENGTH) return this.merge(piece);
    const known = this.cache.get(piece);
    if (known !== undefined) return known;
    const tokens = this.merge(piece);
    if (this.cache.size >= CACHE_ENTRIES) this.cache.clear();
    this.cache.set(piece, tokens);
    return tokens;
  }

  // A linked list of symbols over the characters, and a heap of the merges that are open. A heap entry is stale when
  // the pair at its place has changed since; it is recognised by its rank and skipped.
  private merge(piece: string): string[] {
    const characters = Array.from(piece);
    const count = characters.length;
    if (count < 2) return characters;
    const symbols = Int32Array.from(characters, (character) => this.symbolOf.get(character) ?? -1);
    const next = Int32Array.from(characters, (_, i) => (i + 1 < count ? i + 1 : -1));
    const previous = Int32Array.from(characters, (_, i) => i - 1);
    const heap = new Heap();
    const offer = (i: number): void => {
      const rank = i < 0 || next[i]! < 0 ? undefined : this.mergeOf(symbols[i]!, symbols[next[i]!]!)?.rank;
      if (rank !== undefined) heap.push(rank * 2 ** 26 + i);
    };
    for (let i = 0; i + 1 < count; i++) offer(i);

    while (heap.size > 0) {
      const entry = heap.pop();
      const i = entry % 2 ** 26;
      const j = next[i]!;
      if (symbols[i] === -2 || j < 0) continue;
      const merge = this.mergeOf(symbols[i]!, symbols[j]!);
      if (merge === undefined || merge.rank !== Math.floor(entry / 2 ** 26)) continue;
      symbols[i] = merge.symbol;
      symbols[j] = -2;
      next[i] = next[j]!;
      if (next[i]! >= 0) previous[next[i]!] = i;
      offer(previous[i]!);
      offer(i);
    }

    const tokens: string[] = [];
    for (let i = 0; i >= 0; i = next[i]!) {
      tokens.push(symbols[i]! < 0 ? characters[i]! : this.symbols[symbols[i]!]!);
    }
    return tokens;
  }

  private mergeOf(left: number, right: number): { readonly rank: number; readonly symbol: number } | undefined {
    return left < 0 || right < 0 ? undefined : this.merged.get(this.key(left, right));
  }

  private intern(token: string): number {
    const known = this.symbolOf.get(token);
    if (known !== undefined) return known;
    this.symbolOf.set(token, this.symbols.length);
    return this.symbols.push(token) - 1;
  }

  private key(left: number, right: number): number {
    return left * 2 ** 25 + right;
  }
}

function splitMerge(merge: string): [string, string] {
  const space = merge.indexOf(" ");
  return [merge.slice(0, space), merge.slice(space + 1)];
}

const joint = (left: number, right: number): number => left * 0x200000 + right;

function lastCodePoint(text: string): number {
  const last = text.charCodeAt(text.length - 1);
  return last >= 0xdc00 && last < 0xe000 && text.length > 1 ? text.codePointAt(text.length - 2)! : last;
}

/** A binary heap of numbers, smallest first. */
class Heap {
  private readonly entries: number[] = [];

  get size(): number {
    return this.entries.length;
  }

  push(entry: number): void {
    const { entries } = this;
    let i = entries.push(entry) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (entries[parent]! <= entry) break;
      entries[i] = entries[parent]!;
      i = parent;
    }
    entries[i] = entry;
  }

  pop(): number {
    const { entries } = this;
    const top = entries[0]!;
    const last = entries.pop()!;
    const count = entries.length;
    if (count === 0) return top;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= count) break;
      if (child + 1 < count && entries[child + 1]! < entries[child]!) child++;
      if (entries[child]! >= last) break;
      entries[i] = entries[child]!;
      i = child;
    }
    entries[i] = last;
    return top;
  }
}
