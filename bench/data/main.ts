// npm run bench:data -- --rows=FILE --tokenizer=FOLDER [--counts=3750,15000,60000 --threads=N --record]: the time and memory
// in which preference pairs are ready to train on, the first time and once their tokens are kept. FILE's rows are repeated.
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { loadRows } from "../../lib/data/source.js";
import { textTable } from "../../lib/index.js";
import { openDevice, Rows, resultsFile } from "../common.js";
import { exponentOf } from "../scaling/exponent.js";

const { values } = parseArgs({
  options: {
    rows: { type: "string" },
    tokenizer: { type: "string" },
    counts: { type: "string", default: "3750,15000,60000" },
    threads: { type: "string", default: `${availableParallelism()}` },
    record: { type: "boolean", default: false },
  },
});
const { rows: source, tokenizer } = values;
if (source === undefined || tokenizer === undefined) {
  console.error("expected --rows, a file of preference pairs, and --tokenizer, the folder of a model or a tokenizer");
  process.exit(1);
}

/** What open_tokens.ts says of one opening. */
interface Opened {
  readonly seconds: number;
  readonly peak_bytes: number;
}

const out = (() => {
  using device = openDevice("cpu");
  return new Rows(device, values.record ? resultsFile(device) : undefined, { threads: Number(values.threads) });
})();
const lines = (await loadRows(source)).map(({ fields }) => JSON.stringify(fields));
const folder = await mkdtemp(join(tmpdir(), "bench-data-"));
try {
  const measured = [];
  for (const count of values.counts.split(",").map(Number)) {
    const file = join(folder, `${count}.jsonl`);
    const bytes = await writeLines(file, count);
    const [first, again] = [open(file), open(file)];
    const row = { rows: count, bytes, first, again };
    measured.push(row);
    out.write({ bench: "data", ...row });
  }
  const cells = measured.map(({ rows, bytes, first, again }) => [
    ...[`${rows}`, (bytes / 1e6).toFixed(0), first.seconds.toFixed(1), again.seconds.toFixed(2)],
    ...[first, again].map(({ peak_bytes }) => (peak_bytes / 1e6).toFixed(0)),
  ]);
  console.log(textTable(["pairs", "MB", "s, first", "s, again", "peak MB, first", "peak MB, again"], cells));
  const power = exponentOf(measured.map(({ rows, first }) => [rows, first.seconds]));
  console.log(`time grows with the power ${power.toFixed(2)}; 1.00 is to be expected`);
} finally {
  await rm(folder, { recursive: true });
}

async function writeLines(file: string, count: number): Promise<number> {
  const stream = createWriteStream(file);
  for (let i = 0; i < count; i++) {
    if (!stream.write(`${lines[i % lines.length]}\n`)) await once(stream, "drain");
  }
  stream.end();
  await finished(stream);
  return stream.bytesWritten;
}

/** In a process of its own, whose memory is nobody else's. */
function open(file: string): Opened {
  const script = fileURLToPath(new URL("./open_tokens.ts", import.meta.url));
  const args = [...process.execArgv, script, file, tokenizer!, values.threads, join(folder, "tokens")];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Opened;
}
