// node --import ./bench/register.mjs bench/gpu/make_lengths.ts ROWS.jsonl TOKENIZER_FOLDER: writes lengths.json beside
// this file, tokens of [prompt, chosen, rejected] of the pairs of instructions and models' answers (not of the shorter ones between people), in
// the Zephyr format, cut as its recipe cuts them.
import { writeFileSync } from "node:fs";

import { encodePairs } from "../../lib/data/encode_pairs.js";
import { toPreferencePair } from "../../lib/data/row.js";
import { loadRows, type SourceRow } from "../../lib/data/source.js";
import { resolveChatTemplate } from "../../lib/text/chat_template.js";
import { Tokenizer } from "../../lib/text/tokenizer.js";

const PAIRS = 512;
const [source, folder] = process.argv.slice(2) as [string, string];
const tokenizer = await Tokenizer.load(folder);
const template = resolveChatTemplate("zephyr", tokenizer);
const isAnswered = (row: SourceRow) => /^(alpaca_eval|llama-factory)/.test(String(row.fields.source));
const rows = (await loadRows(source)).filter(isAnswered).map(toPreferencePair);
const { pairs } = encodePairs(rows, { tokenizer, template, maxLength: 1024, maxPromptLength: 512 });
const step = Math.floor(pairs.length / PAIRS); // of every source the file is made of
const lengths = pairs
  .filter((_, i) => i % step === 0)
  .slice(0, PAIRS)
  .map(({ prompt, chosen, rejected }) => [prompt.length, chosen.length, rejected.length]);
const mean = (part: number) => (lengths.reduce((sum, row) => sum + row[part]!, 0) / lengths.length).toFixed(0);
writeFileSync(
  new URL("lengths.json", import.meta.url),
  `[\n  ${lengths.map((row) => JSON.stringify(row).replaceAll(",", ", ")).join(",\n  ")}\n]\n`,
);
console.log(`${lengths.length} pairs, mean prompt ${mean(0)}, chosen ${mean(1)}, rejected ${mean(2)} tokens`);
