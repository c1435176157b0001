import fc from "fast-check";
import { expect, test } from "vitest";
import { Words } from "../../lib/curate/words.js";

const wordsOf = (text: string) => new Words().read(text);
const keysOf = (text: string): number[] => {
  const words = wordsOf(text);
  return Array.from({ length: words.count }, (_, i) => words.key(i, 1));
};

test.each([
  ["", 0],
  [" ?! -- ", 0],
  ["Hello, how are you?", 4],
  ["don't stop", 3],
  ["x = foo_bar(3.14)", 5],
  ["naïve café", 2],
  ["日本語です", 5],
  ["ภาษา", 4],
  ["𝒳𠀀b", 3],
  ["हिन्दी में", 2],
])("%j has %i words", (text, count) => {
  expect(wordsOf(text).count).toBe(count);
});

test("case, compatibility forms, and what is between words do not count", () => {
  expect(keysOf("The ﬁne “Ａbc” — CAFÉ")).toEqual(keysOf("the fine abc cafe\u0301"));
  expect(keysOf("the fine abc cafe")).not.toEqual(keysOf("the fine abc café"));
});

const word = fc.constantFrom("a", "b", "the", "cat", "sat", "日", "naïve", "42");
const texts = fc.array(word, { maxLength: 300 });

test("a sequence has the same key wherever it stands, and another one another", () => {
  fc.assert(
    fc.property(texts, fc.array(word, { minLength: 1, maxLength: 40 }), texts, (before, sequence, after) => {
      const alone = wordsOf(sequence.join(" "));
      const within = wordsOf([...before, ...sequence, ...after].join(", "));
      expect(within.key(before.length, sequence.length)).toBe(alone.key(0, sequence.length));
      expect(within.hash(before.length, sequence.length)).toBe(alone.hash(0, sequence.length));
      const other = [...sequence.slice(1), "dog"];
      expect(wordsOf(other.join(" ")).key(0, other.length)).not.toBe(alone.key(0, sequence.length));
    }),
  );
});

test("many sequences have as many keys, the same words in another order included", () => {
  const numbers = wordsOf(Array.from({ length: 20_000 }, (_, i) => `${i % 139} ${i}`).join(" "));
  const keys = new Set(Array.from({ length: numbers.count - 4 }, (_, i) => numbers.key(i, 5)));
  expect(keys.size).toBe(numbers.count - 4);
  expect(keysOf("a b").toSorted()).toEqual(keysOf("b a").toSorted());
  expect(wordsOf("a b").key(0, 2)).not.toBe(wordsOf("b a").key(0, 2));
});
