import fc from "fast-check";
import { expect, test } from "vitest";
import { ExactDuplicates, type TextKey } from "../../lib/curate/exact_duplicates.js";
import { normalise } from "../../lib/curate/normalise.js";
import { hashText } from "../../lib/curate/text_hash.js";

test("finds what a map finds, whatever the keys", () => {
  const part = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 2 ** 32 - 1 }));
  fc.assert(
    fc.property(fc.array(fc.tuple(part, part), { maxLength: 200 }), (keys) => {
      const [table, map] = [new ExactDuplicates(), new Map<string, number>()];
      keys.forEach((key, row) => {
        expect(table.find(key)).toBe(map.get(`${key}`));
        if (map.has(`${key}`)) return;
        table.add(key, row);
        map.set(`${key}`, row);
      });
    }),
  );
});

test("keeps all rows as it grows", () => {
  const table = new ExactDuplicates();
  const key = (i: number): TextKey => [Math.imul(i, 0x9e3779b1) >>> 0, i];
  for (let i = 0; i < 30_000; i++) table.add(key(i), i);
  for (let i = 0; i < 30_000; i++) expect(table.find(key(i))).toBe(i);
  expect(table.find([1, 1])).toBeUndefined();
});

test("a text's case, white space and forms do not count for it, its marks do", () => {
  expect(normalise("  Ｗhat\t is\n\n2 + 2？ ")).toBe("what is 2 + 2?");
  expect(normalise("What is 2 - 2?")).not.toBe(normalise("What is 2 + 2?"));
});

test("a text's share is even, and its own", () => {
  const shares = Array.from({ length: 4000 }, (_, i) => hashText(`prompt ${i}`).share);
  expect(Math.min(...shares)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...shares)).toBeLessThan(1);
  const tenth = shares.filter((share) => share < 0.1).length;
  expect(Math.abs(tenth - 400)).toBeLessThan(80);
  expect(hashText("prompt 1")).toEqual(hashText("prompt 1"));
});
