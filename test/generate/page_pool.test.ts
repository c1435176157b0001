import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PagePool, ROOT } from "../../lib/generate/page_pool.js";

const tokens = (...ids: number[]) => Int32Array.from(ids);
const takeAll = (pool: PagePool) => {
  const pages: number[] = [];
  for (let page = pool.take(); page !== undefined; page = pool.take()) pages.push(page);
  return pages;
};

describe("pages", () => {
  test("are each held by one until they are released", () => {
    const pool = new PagePool(3);
    const pages = takeAll(pool);
    expect(pages.toSorted()).toEqual([0, 1, 2]);
    expect(pool.available).toBe(0);
    pool.release([pages[1]!]);
    expect(takeAll(pool)).toEqual([pages[1]]);
    expect(() => pool.release([pages[0]!, pages[0]!])).toThrow("released by a holder");
  });
});

describe("published pages", () => {
  test("are shared by content, after the same content only", () => {
    const pool = new PagePool(4);
    const [first, second] = [pool.take()!, pool.take()!];
    const node = pool.publish(first, ROOT, tokens(1, 2));
    const next = pool.publish(second, node, tokens(3, 4));
    expect(pool.share(ROOT, tokens(1, 2))).toEqual({ page: first, node });
    expect(pool.share(node, tokens(3, 4))).toEqual({ page: second, node: next });
    expect(pool.share(ROOT, tokens(3, 4))).toBeUndefined();
    expect(pool.share(node, tokens(3, 5))).toBeUndefined();
    expect(pool.share(node, tokens(3))).toBeUndefined();
  });

  test("are kept when nobody holds them, and taken last, the longest unused first", () => {
    const pool = new PagePool(3);
    const [a, b] = [pool.take()!, pool.take()!];
    pool.publish(a, ROOT, tokens(1));
    pool.publish(b, ROOT, tokens(2));
    pool.release([b]);
    pool.release([a]);
    expect([pool.available, pool.numKept]).toEqual([3, 2]);
    pool.release([pool.share(ROOT, tokens(2))!.page]); // b was used after a
    expect(takeAll(pool).slice(1)).toEqual([a, b]);
    expect(pool.share(ROOT, tokens(1))).toBeUndefined();
  });

  test("of one sequence are forgotten from its end", () => {
    const pool = new PagePool(2);
    const pages = takeAll(pool);
    const node = pool.publish(pages[0]!, ROOT, tokens(1));
    pool.publish(pages[1]!, node, tokens(2));
    pool.release(pages);
    expect(pool.take()).toBe(pages[1]);
    expect(pool.share(ROOT, tokens(1))!.page).toBe(pages[0]);
  });

  test("that were forgotten are pages like others", () => {
    const pool = new PagePool(1);
    const page = pool.take()!;
    pool.publish(page, ROOT, tokens(1));
    pool.release([page]);
    expect(pool.take()).toBe(page); // and forgets what was in it
    pool.release([page]);
    expect(pool.numKept).toBe(0);
    expect(pool.share(ROOT, tokens(1))).toBeUndefined();
  });

  test("of the same content: the first is shared, the second goes with its holder", () => {
    const pool = new PagePool(2);
    const [a, b] = takeAll(pool) as [number, number];
    const node = pool.publish(a, ROOT, tokens(1));
    expect(pool.publish(b, ROOT, tokens(1))).toBe(node);
    pool.release([b]);
    expect(pool.numKept).toBe(0);
    expect(pool.share(ROOT, tokens(1))!.page).toBe(a);
  });

  test("held twice are kept when both have released them", () => {
    const pool = new PagePool(1);
    const page = pool.take()!;
    pool.publish(page, ROOT, tokens(1));
    pool.share(ROOT, tokens(1));
    pool.release([page]);
    expect(pool.take()).toBeUndefined();
    pool.release([page]);
    expect(pool.take()).toBe(page);
  });
});

test("whatever happens, no page is held by two who do not share it, and none is lost", () => {
  const steps = fc.array(fc.tuple(fc.constantFrom("take", "release", "share"), fc.nat(3)), { maxLength: 60 });
  fc.assert(
    fc.property(steps, (actions) => {
      const pool = new PagePool(4);
      const held: { page: number; content: number | undefined }[] = [];
      const contents = new Map<number, number>(); // of published pages
      for (const [action, n] of actions) {
        if (action === "release" && held.length > 0) {
          pool.release([held.splice(n % held.length, 1)[0]!.page]);
        } else if (action === "share") {
          const found = pool.share(ROOT, tokens(n));
          if (found === undefined) continue;
          expect(contents.get(found.page)).toBe(n);
          held.push({ page: found.page, content: n });
        } else if (action === "take") {
          const page = pool.take();
          if (page === undefined) {
            expect(pool.available).toBe(0);
            continue;
          }
          expect(held.some((each) => each.page === page)).toBe(false);
          contents.delete(page);
          if (pool.share(ROOT, tokens(n)) === undefined) {
            pool.publish(page, ROOT, tokens(n));
            contents.set(page, n);
          } else {
            held.push({ page: [...contents].find(([, content]) => content === n)![0], content: n });
          }
          held.push({ page, content: contents.get(page) });
        }
        expect(pool.available).toBe(4 - new Set(held.map(({ page }) => page)).size);
      }
    }),
  );
});
