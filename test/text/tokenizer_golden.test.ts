import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Tokenizer } from "../../lib/text/tokenizer.js";
import { readJsonLines, sharedData } from "../shared_data.js";

interface Encoding {
  readonly text: string;
  readonly ids: number[];
  readonly ids_with_special: number[];
  readonly decoded: string;
  readonly decoded_skip_special: string;
}

const FOLDERS = [
  "tokenizers/mistral-32k-chatml",
  "tokenizers/phi3-llama2-32k",
  "tokenizers/qwen2.5",
  "models/stories-260k",
  "models/tinystories-656k",
];

describe.each(FOLDERS)("%s against Hugging Face tokenizers", (name) => {
  const folder = sharedData(name);
  const load = () => Tokenizer.load(folder!, { rules: "file" });
  const rows = folder === undefined ? [] : readJsonLines<Encoding>(`${folder}/golden_encodings.jsonl`);

  test.skipIf(folder === undefined)("ids, with and without special tokens", async () => {
    const tokenizer = await load();
    expect(rows).toHaveLength(384);
    for (const { text, ids, ids_with_special } of rows) {
      expect([...tokenizer.encode(text)], text).toEqual(ids);
      expect([...tokenizer.encode(text, { addSpecialTokens: true })], text).toEqual(ids_with_special);
    }
  });

  // tinystories-656k's added tokens are `normalized`, and tokenizers 0.23 then takes "▁<unk>" for the text of <unk>:
  // its decoded text has a space before every added token, and it no longer knows them for special, so skipping them
  // skips nothing. westwind decodes the token itself; 154 and 383 of the 384 rows differ for this reason alone.
  const isNormalized = name === "models/tinystories-656k";

  test.skipIf(folder === undefined || isNormalized)("text of the ids", async () => {
    const tokenizer = await load();
    for (const { ids, ids_with_special, decoded, decoded_skip_special } of rows) {
      expect(tokenizer.decode(ids)).toBe(decoded);
      expect(tokenizer.decode(ids_with_special, { skipSpecialTokens: true })).toBe(decoded_skip_special);
    }
  });

  test.skipIf(folder === undefined || !isNormalized)(
    "text of the ids, but for the spaces put before added tokens",
    async () => {
      const tokenizer = await load();
      const spaced = (text: string) => text.replace(/<unk>|<\|(start|end)_story\|>/g, " $&");
      let different = 0;
      for (const { ids, ids_with_special, decoded, decoded_skip_special } of rows) {
        const ours = tokenizer.decode(ids);
        if (ours !== decoded) different++;
        // The first space of a text belongs to the prefix and is taken off, so it may stand on one side only.
        expect(spaced(ours).replace(/^ /, "")).toBe(decoded.replace(/^ /, ""));
        const skipped = tokenizer.decode(ids_with_special, { skipSpecialTokens: true });
        const theirs = decoded_skip_special
          .replace(/^<\|start_story\|>/, "")
          .replace(/ (<unk>|<\|(start|end)_story\|>)/g, "");
        expect(skipped.replace(/^ /, "")).toBe(
          theirs.replace(/^ {1,2}/, (spaces) => spaces.slice(0, -1)).replace(/^ /, ""),
        );
      }
      expect(different).toBe(154);
    },
  );
});

describe("llama.cpp's tokenizer tests", () => {
  const folder = sharedData("tokenizers/llama.cpp-golden");
  test.skipIf(folder === undefined).each([
    ["ggml-vocab-llama-spm", "phi3-llama2-32k"],
    ["ggml-vocab-phi-3", "phi3-llama2-32k"],
    ["ggml-vocab-qwen2", "qwen2.5"],
  ])("%s", async (vocabulary, tokenizerName) => {
    const tokenizer = await Tokenizer.load(sharedData(`tokenizers/${tokenizerName}`)!, { rules: "file" });
    const texts = readFileSync(`${folder}/${vocabulary}.gguf.inp`, "utf8").split("\n__ggml_vocab_test__\n");
    const lines = readFileSync(`${folder}/${vocabulary}.gguf.out`, "utf8").split("\n");
    expect(texts.length).toBeGreaterThanOrEqual(46);
    texts.forEach((text, i) => {
      const ids = [...(lines[i] ?? "").matchAll(/\d+/g)].map(Number);
      expect([...tokenizer.encode(text)], JSON.stringify(text)).toEqual(ids);
    });
  });
});
