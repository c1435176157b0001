import { assert } from "../base/errors.js";

/** A page's content: its tokens, and the content before them. Two pages with one node hold the same keys and values. */
export type ContentNode = number;

/** Before the first token. */
export const ROOT: ContentNode = 0;

/**
 * The pages of a key-value cache, and who holds them. A full page can be published under its content: a later prompt that
 * begins alike shares it, and when nobody holds it any more it is kept until its place is needed, the longest unused first.
 */
export class PagePool {
  private readonly free: number[];
  private readonly holders: Uint32Array;
  private readonly published = new Map<string, { readonly page: number; readonly node: ContentNode }>();
  private readonly keyOf: (string | undefined)[];
  /** Published pages that nobody holds, the longest unused first. */
  private readonly kept = new Set<number>();
  private lastNode = ROOT;

  constructor(readonly size: number) {
    this.free = Array.from({ length: size }, (_, i) => size - 1 - i);
    this.holders = new Uint32Array(size);
    this.keyOf = new Array(size);
  }

  /** Pages that can be taken. */
  get available(): number {
    return this.free.length + this.kept.size;
  }

  get numKept(): number {
    return this.kept.size;
  }

  /** A page of one's own, to be released; undefined where all are held. */
  take(): number | undefined {
    const page = this.free.pop() ?? this.forgetOldest();
    if (page !== undefined) this.holders[page] = 1;
    return page;
  }

  /** Shares the page whose content is `tokens` behind `before`, if there is one. It is to be released. */
  share(before: ContentNode, tokens: Int32Array): { readonly page: number; readonly node: ContentNode } | undefined {
    const found = this.published.get(keyOf(before, tokens));
    if (found === undefined) return undefined;
    this.kept.delete(found.page);
    this.holders[found.page]!++;
    return found;
  }

  /** Says what a full page holds, and returns the content up to its end. */
  publish(page: number, before: ContentNode, tokens: Int32Array): ContentNode {
    const key = keyOf(before, tokens);
    const known = this.published.get(key);
    if (known !== undefined) return known.node; // another request was faster; this page stays its holder's alone
    const node = ++this.lastNode;
    this.published.set(key, { page, node });
    this.keyOf[page] = key;
    return node;
  }

  /** Gives pages back, in the order of their tokens: the last of them are forgotten first. */
  release(pages: readonly number[]): void {
    for (const page of pages.toReversed()) {
      assert(this.holders[page]! > 0, "a page is released by a holder");
      if (--this.holders[page]! > 0) continue;
      if (this.keyOf[page] !== undefined) this.kept.add(page);
      else this.free.push(page);
    }
  }

  private forgetOldest(): number | undefined {
    const [page] = this.kept;
    if (page === undefined) return undefined;
    this.kept.delete(page);
    this.published.delete(this.keyOf[page]!);
    this.keyOf[page] = undefined;
    return page;
  }
}

const keyOf = (before: ContentNode, tokens: Int32Array): string => `${before}:${tokens.join()}`;
