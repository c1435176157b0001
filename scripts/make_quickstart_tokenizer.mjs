// Trains the byte-level BPE tokenizer of the quickstart on the text of its little world and writes the tokenizer files:
//   node scripts/make_quickstart_tokenizer.mjs [FOLDER] && npx biome check --write assets
// FOLDER is assets/quickstart unless given. Needs a built dist/.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeDialogues, writeTexts } from "../dist/quickstart/world.js";

const VOCAB_SIZE = 1024;
const SPECIAL = ["<unk>", "<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>"];
const ZEPHYR_TEMPLATE = [
  "{% for message in messages %}",
  "{{ '<|' + message['role'] + '|>\n' + message['content'] + eos_token + '\n' }}",
  "{% if loop.last and add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}",
  "{% endfor %}",
].join("");

// The words that byte-level BPE may not merge across: GPT-2's pattern, which the ByteLevel pre-tokenizer applies.
const WORD = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** Printable stand-ins for the 256 bytes: a printable Latin-1 byte is itself, the others follow from U+0100. */
const BYTE_LETTERS = (() => {
  const isPrintable = (byte) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 255 && byte !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
})();

function countWords(texts) {
  const counts = new Map();
  for (const text of texts) {
    for (const [word] of text.matchAll(WORD)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return [...counts].map(([word, count]) => ({ pieces: [...Buffer.from(word)].map((b) => BYTE_LETTERS[b]), count }));
}

/** The most frequent pair first; among equals the one that sorts first, so that the result does not depend on order. */
function learnMerges(words, numMerges) {
  const merges = [];
  while (merges.length < numMerges) {
    const counts = new Map();
    for (const { pieces, count } of words) {
      for (let i = 0; i + 1 < pieces.length; i++) {
        const pair = `${pieces[i]} ${pieces[i + 1]}`;
        counts.set(pair, (counts.get(pair) ?? 0) + count);
      }
    }
    const [best] = [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
    if (!best) break;
    const [left, right] = best[0].split(" ");
    merges.push([left, right]);
    for (const word of words) word.pieces = mergePair(word.pieces, left, right);
  }
  return merges;
}

function mergePair(pieces, left, right) {
  const merged = [];
  for (let i = 0; i < pieces.length; i++) {
    const isPair = pieces[i] === left && pieces[i + 1] === right;
    merged.push(isPair ? left + right : pieces[i]);
    if (isPair) i++;
  }
  return merged;
}

function toTokenizerJson(merges) {
  const tokens = [...SPECIAL, ...BYTE_LETTERS, ...merges.map(([left, right]) => left + right)];
  const special = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const sequence = (id, type_id) => [{ SpecialToken: { id: "<s>", type_id } }, { Sequence: { id, type_id } }];
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: SPECIAL.map((content, id) => ({ id, content, ...special })),
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: {
      type: "TemplateProcessing",
      single: sequence("A", 0),
      pair: [...sequence("A", 0), ...sequence("B", 1)],
      special_tokens: { "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] } },
    },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}

const texts = [
  ...writeTexts(4000, 0).map(({ text }) => text),
  ...writeDialogues(6000, 0, "train").flatMap(({ messages }) => messages.map(({ content }) => content)),
  ...Array(2000).fill("\n"), // the template's line ends
];
const merges = learnMerges(countWords(texts), VOCAB_SIZE - SPECIAL.length - BYTE_LETTERS.length);

const specialTokens = { bos_token: "<s>", eos_token: "</s>", pad_token: "</s>", unk_token: "<unk>" };
const files = {
  "tokenizer.json": toTokenizerJson(merges),
  "tokenizer_config.json": {
    added_tokens_decoder: Object.fromEntries(toTokenizerJson([]).added_tokens.map(({ id, ...token }) => [id, token])),
    additional_special_tokens: ["<|system|>", "<|user|>", "<|assistant|>"],
    ...specialTokens,
    add_bos_token: true,
    chat_template: ZEPHYR_TEMPLATE,
    clean_up_tokenization_spaces: false,
    model_max_length: 256,
    tokenizer_class: "PreTrainedTokenizerFast",
  },
  "special_tokens_map.json": specialTokens,
};

const folder = process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), "..", "assets", "quickstart");
mkdirSync(folder, { recursive: true });
for (const [name, content] of Object.entries(files)) {
  writeFileSync(join(folder, name), `${JSON.stringify(content, null, 1)}\n`);
}
process.stdout.write(`${SPECIAL.length + BYTE_LETTERS.length + merges.length} tokens written to ${folder}\n`);
