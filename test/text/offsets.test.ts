import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { tokenOffsets } from "../../lib/text/offsets.js";
import { Tokenizer } from "../../lib/text/tokenizer.js";
import { readJsonLines, sharedData } from "../shared_data.js";

const TINY = fileURLToPath(new URL("../fixtures/text/tiny-llama", import.meta.url));
let loaded: Record<"transformers" | "file", Tokenizer>;
beforeAll(async () => {
  loaded = { transformers: await Tokenizer.load(TINY), file: await Tokenizer.load(TINY, { rules: "file" }) };
});

/** Each token's part of the text. */
function parts(
  tokenizer: Tokenizer,
  text: string,
  ids: ArrayLike<number> = tokenizer.encode(text),
): string[] | undefined {
  const offsets = tokenOffsets(tokenizer, text, ids);
  if (offsets === undefined) return undefined;
  const bytes = Buffer.from(text);
  return Array.from(offsets.begins, (begin, i) => bytes.toString("latin1", begin, offsets.ends[i]));
}
const bytesOf = (text: string) => Buffer.from(text).toString("latin1");

test("words, with the blank that is put before the first", () => {
  expect(parts(loaded.transformers, "the cat sat")).toEqual(["the ", "cat ", "s", "a", "t"]);
  expect(parts(loaded.transformers, " the cat")).toEqual([" the ", "c", "a", "t"]);
  expect(parts(loaded.transformers, "the cat</s>\nTom")).toEqual(["the ", "c", "a", "t", "</s>", "\n", "To", "m"]);
});

test("a blank of the tokenizer's own has no length", () => {
  expect(parts(loaded.file, "a</s>\nTom")).toEqual(["a", "</s>", "", "\n", "To", "m"]);
});

test("bytes of characters the vocabulary lacks", () => {
  expect(parts(loaded.transformers, "é🙂")?.join("")).toBe(bytesOf("é🙂"));
});

test("blanks that an added token swallows", () => {
  expect(parts(loaded.transformers, "Tom<|end|>  and")).toEqual(["", "To", "m", "<|end|>", "an", "d"]);
});

test("ids that are not the text's", () => {
  expect(parts(loaded.transformers, "the cat", loaded.transformers.encode("Tom"))).toBeUndefined();
});

describe("real texts", () => {
  test.skipIf(sharedData("tokenizers") === undefined).each([
    ["tokenizers/mistral-32k-chatml", "transformers"],
    ["tokenizers/phi3-llama2-32k", "transformers"],
    ["tokenizers/phi3-llama2-32k", "file"],
    ["tokenizers/qwen2.5", "transformers"],
    ["models/stories-260k", "transformers"],
    ["models/tinystories-656k", "transformers"],
    ["models/tinystories-656k", "file"],
  ] as const)(
    "%s, rules: %s: tokens lie in order, and leave nothing but blanks and unknown characters out",
    async (name, rules) => {
      const tokenizer = await Tokenizer.load(sharedData(name)!, { rules });
      for (const row of readJsonLines<{ text: string }>(`${sharedData(name)}/golden_encodings.jsonl`)) {
        const text = name.includes("qwen") ? row.text.normalize("NFC") : row.text.replaceAll("▁", " ");
        const offsets = tokenOffsets(tokenizer, text, tokenizer.encode(text));
        expect(offsets, JSON.stringify(text)).toBeDefined();
        const bytes = Buffer.from(text);
        let between = "";
        let end = 0;
        offsets!.begins.forEach((begin, i) => {
          expect(begin).toBeGreaterThanOrEqual(end);
          between += bytes.toString("utf8", end, begin);
          end = offsets!.ends[i]!;
        });
        between += bytes.toString("utf8", end);
        expect(Array.from(between).filter((each) => each.trim() !== "" && !tokenizer.leavesOut(each))).toEqual([]);
      }
    },
  );
});
