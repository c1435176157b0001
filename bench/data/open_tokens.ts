// FILE TOKENIZER THREADS STORES: makes a file of preference pairs ready to train on, and prints what that took.
import { chooseRows } from "../../lib/data/mix.js";
import { openTokens } from "../../lib/data/token_store.js";
import { BUILTIN_TEMPLATES } from "../../lib/text/builtin_templates.js";

const [file, tokenizerFolder, threads, folder] = process.argv.slice(2) as [string, string, string, string];
const begin = performance.now();
const options = { maxLength: 512, maxPromptLength: 256 };
await openTokens(await chooseRows({ dataset_name: file }), {
  encoding: { kind: "dpo", tokenizerFolder, chatTemplate: BUILTIN_TEMPLATES.zephyr, options },
  numThreads: Number(threads),
  folder,
});
const seconds = (performance.now() - begin) / 1000;
process.stdout.write(JSON.stringify({ seconds, peak_bytes: 1024 * process.resourceUsage().maxRSS }));
