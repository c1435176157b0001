import { Random } from "../../lib/base/random.js";

/** New tokens of one sequence: those at positions [from, from + count). */
export interface Chunk {
  readonly sequence: number;
  readonly from: number;
  readonly count: number;
}

export interface PagedBatch {
  readonly axes: { readonly T: number; readonly B: number; readonly P: number; readonly N: number };
  readonly pages: Int32Array;
  readonly sequences: Int32Array;
  readonly positions: Int32Array;
  /** Where sequence b's position p lies, and undefined where it has no slot. */
  slot(sequence: number, position: number): number | undefined;
  /** Whether a token sees position p of sequence b. */
  isSeen(sequence: number, position: number): boolean;
  /** Where sequences end. */
  readonly ends: readonly number[];
}

/**
 * Chunks over pages in shuffled order, some of which nobody has. Entries of `pages` that no token reads are not pages:
 * those behind a sequence's end, and with a window those before it and between chunks.
 */
export function pagedBatch(chunks: readonly Chunk[], pageSize: number, window = 0, seed = 1): PagedBatch {
  const B = Math.max(...chunks.map(({ sequence }) => sequence)) + 1;
  const own = Array.from({ length: B }, (_, b) => chunks.filter(({ sequence }) => sequence === b));
  const ends = own.map((those) => Math.max(0, ...those.map(({ from, count }) => from + count)));
  const seen = own.map((those) => those.map(({ from, count }) => [firstSeen(from, window), from + count - 1] as const));
  const numPages = ends.map((end) => Math.ceil(end / pageSize));
  const P = Math.max(...numPages) + 1;
  const free = Array.from({ length: numPages.reduce((sum, n) => sum + n, 2) }, (_, page) => page);
  const N = free.length * pageSize;
  new Random(seed).shuffle(free);

  const pages = Int32Array.from({ length: B * P }, (_, i) => (i % 2 ? -1 : 2 ** 31 - 1));
  seen.forEach((ranges, b) => {
    const read = ranges.flatMap(([first, last]) => {
      const page = Math.floor(first / pageSize);
      return Array.from({ length: Math.floor(last / pageSize) + 1 - page }, (_, i) => page + i);
    });
    for (const page of new Set(read)) pages[b * P + page] = free.pop()!;
  });

  const tokens = chunks.flatMap(({ sequence, from, count }) =>
    Array.from({ length: count }, (_, i) => ({ sequence, position: from + i })),
  );
  return {
    axes: { T: tokens.length, B, P, N },
    pages,
    sequences: Int32Array.from(tokens, ({ sequence }) => sequence),
    positions: Int32Array.from(tokens, ({ position }) => position),
    ends,
    isSeen: (sequence, position) => seen[sequence]!.some(([first, last]) => first <= position && position <= last),
    slot(sequence, position) {
      const page = pages[sequence * P + Math.floor(position / pageSize)]!;
      return page >= 0 && page < N / pageSize ? page * pageSize + (position % pageSize) : undefined;
    },
  };
}

const firstSeen = (position: number, window: number): number => (window ? Math.max(0, position + 1 - window) : 0);

/** A cache [N, width] whose row for position p of sequence b is `row(b, p)`; NaN in slots of which no token reads one. */
export function cacheOf(batch: PagedBatch, width: number, row: (b: number, p: number) => ArrayLike<number>) {
  const cache = new Float64Array(batch.axes.N * width).fill(Number.NaN);
  batch.ends.forEach((end, b) => {
    for (let p = 0; p < end; p++) {
      if (batch.isSeen(b, p)) cache.set(row(b, p), batch.slot(b, p)! * width);
    }
  });
  return cache;
}
