import fc from "fast-check";
import { expect, test } from "vitest";
import { type BpeModel, Merges } from "../../lib/text/merges.js";

/** The definition: join the leftmost pair of the lowest rank until no pair is left. */
function mergeOneByOne({ merges }: BpeModel, text: string): string[] {
  const pairs = merges.map((merge) => (typeof merge === "string" ? merge.split(" ") : merge));
  const tokens = Array.from(text);
  for (;;) {
    const ranks = tokens.map((token, i) => pairs.findLastIndex(([a, b]) => a === token && b === tokens[i + 1]));
    const best = Math.min(...ranks.filter((rank) => rank >= 0));
    if (best === Number.POSITIVE_INFINITY) return tokens;
    const at = ranks.indexOf(best);
    tokens.splice(at, 2, tokens[at]! + tokens[at + 1]!);
  }
}

const letters = ["a", "b", "c", "▁", "🙂"];
const model = fc.array(fc.tuple(fc.nat(1e6), fc.nat(1e6)), { maxLength: 12 }).map((choices): BpeModel => {
  const vocab = [...letters];
  const merges = choices.map(([i, j]): [string, string] => {
    const [a, b] = [vocab[i % vocab.length]!, vocab[j % vocab.length]!];
    if (!vocab.includes(a + b)) vocab.push(a + b);
    return [a, b];
  });
  return { vocab: Object.fromEntries(vocab.map((token, id) => [token, id])), merges };
});

test("gives what merging one pair at a time gives", () => {
  const text = fc.array(fc.constantFrom(...letters, "z"), { maxLength: 90 }).map((parts) => parts.join(""));
  fc.assert(
    fc.property(model, text, (bpe, input) => {
      const merges = new Merges(bpe);
      expect(merges.split(input)).toEqual(mergeOneByOne(bpe, input));
      expect(merges.split(input)).toEqual(mergeOneByOne(bpe, input));
    }),
    { numRuns: 300 },
  );
});

test("a pair that has changed waits for its own rank", () => {
  const vocab = Object.fromEntries(["a", "b", "c", "d", "bc", "ab", "bcd", "abc"].map((token, id) => [token, id]));
  expect(new Merges({ vocab, merges: ["b c", "a b", "bc d", "a bc"] }).split("abcd")).toEqual(["a", "bcd"]);
});

test("merges are strings with a blank, or pairs that may hold one", () => {
  const vocab = { a: 0, b: 1, " ": 2, ab: 3, " a": 4 };
  expect(new Merges({ vocab, merges: ["a b"] }).split("abab")).toEqual(["ab", "ab"]);
  expect(new Merges({ vocab, merges: [[" ", "a"]] }).split("b a")).toEqual(["b", " a"]);
});

test("a long run without a cut takes no more than its length times a logarithm", () => {
  const bpe: BpeModel = { vocab: { a: 0, aa: 1, aaaa: 2 }, merges: ["a a", "aa aa"] };
  const begin = performance.now();
  expect(new Merges(bpe).split("a".repeat(200_000))).toHaveLength(50_000);
  expect(performance.now() - begin).toBeLessThan(5_000);
});
