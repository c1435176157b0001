import { rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";

import { BlockPool } from "../base/block_pool.js";
import { AbortedError, ConfigError, DataError, FileError } from "../base/errors.js";
import { makeFolder, writeFileAtomic, writeFolderAtomic } from "../base/files.js";
import { readBenchmarks } from "../curate/benchmarks.js";
import type { CuratedBlock, Curation } from "../curate/curation.js";
import { Curator } from "../curate/curator.js";
import { Duplicates } from "../curate/duplicates.js";
import { excerpt } from "../curate/excerpt.js";
import { type PrepareOptions, type PrepareSettings, settle } from "../curate/options.js";
import { type PrepareReport, PrepareTally } from "../curate/prepare_report.js";
import { REFUSAL_PHRASES, readPhrases, refusalTable } from "../curate/refusals.js";
import { SKETCH_SIZE } from "../curate/sketch.js";
import type { RawRow } from "../data/raw_row.js";
import { type RowBlock, rowBlocks, WORTH_THREADS } from "../data/row_blocks.js";
import { filesOf, readRawRows, readRows, type SourceRow } from "../data/source.js";
import { writeRows } from "../data/write_rows.js";
import { prepareReportText } from "./prepare_report_text.js";
import { PreparedFiles } from "./prepared_files.js";

export interface PrepareRun extends PrepareOptions {
  /** Threads that look at rows besides this one, from 0 up. Default: as many as processors. They do not change what comes out. */
  readonly threads?: number | undefined;
  /** Is told how far it is, now and then. */
  readonly report?: ((progress: PrepareProgress) => void) | undefined;
  /** Ends it with an AbortedError; nothing is written. */
  readonly signal?: AbortSignal | undefined;
}

export interface PrepareProgress {
  readonly read: number;
  readonly kept: number;
  readonly seconds: number;
}

/**
 * Makes dialogues to learn from of raw ones: UltraChat's rows, or rows with messages, or with prompt and completion. Writes
 * a folder, whole or not at all: `train.jsonl` and `test.jsonl` with rows `{prompt, prompt_id, messages, source?}`, or the
 * same in another `format`, `dropped.jsonl` with the place of every other row and why it is not there, `report.json` (what
 * is returned) and `report.md`. The steps and their options are in docs/data.md. Throws ConfigError for an option, FileError
 * for a file that cannot be read, an output that is there, or where no row is left, with `strict` DataError for the first
 * row that is no dialogue, and AbortedError.
 */
export async function prepareData(
  inputs: readonly string[],
  output: string,
  run: PrepareRun = {},
): Promise<PrepareReport> {
  const { threads = availableParallelism(), report: tell, signal, ...options } = run;
  if (!(Number.isSafeInteger(threads) && threads >= 0)) {
    throw new ConfigError("threads", `${threads}, expected a whole number from 0 up`);
  }
  const settings = settle(options);
  for (const input of inputs) await filesOf(input, settings.split);
  const curation = await curationOf(settings);
  const tally = new PrepareTally(settings);
  const start = performance.now();
  const goOn = (): void => {
    if (signal?.aborted) throw new AbortedError(0, `stopped after ${tally.read} rows; nothing was written`);
  };
  await makeFolder(dirname(output));
  await writeFolderAtomic(output, async (folder) => {
    await using files = new PreparedFiles(folder);
    await using pool = new BlockPool<RowBlock, CuratedBlock>({
      ...{ worker: "#curate_worker", workerData: curation, numThreads: threads, worthThreads: WORTH_THREADS },
      here: async () => {
        const curator = await Curator.load(curation);
        return (block) => curator.curate(block);
      },
    });
    const gatherer = new Gatherer(settings, tally, files);
    for await (const curated of pool.work(blocksOf(inputs, settings, gatherer.onTheirWay))) {
      await gatherer.gather(curated);
      tell?.({ read: tally.read, kept: tally.kept, seconds: (performance.now() - start) / 1000 });
      goOn();
    }
    const report = tally.report(inputs);
    if (report.kept === 0) throw nothingLeft(report);
    if (settings.format !== "jsonl") await changeFormat(folder, report, goOn);
    await writeFileAtomic(join(folder, "report.json"), `${JSON.stringify(report, null, 2)}\n`);
    await writeFileAtomic(join(folder, "report.md"), prepareReportText(report));
  });
  return tally.report(inputs);
}

/** Writes the files of rows once more, as the kind that is asked for. */
async function changeFormat(folder: string, { splits, options }: PrepareReport, goOn: () => void): Promise<void> {
  async function* fieldsOf(path: string): AsyncGenerator<SourceRow["fields"], void, void> {
    for await (const { fields } of readRows(path)) {
      goOn();
      yield fields;
    }
  }
  for (const name of Object.keys(splits).filter((split) => splits[split]! > 0)) {
    const lines = join(folder, `${name}.jsonl`);
    await writeRows(join(folder, `${name}.${options.format}`), fieldsOf(lines));
    await rm(lines);
  }
}

async function curationOf(settings: PrepareSettings): Promise<Curation> {
  const { refusals, refusalPhrases, decontaminate, ngram, benchmarkField, tokenizer, ...others } = settings;
  const more = refusalPhrases === undefined ? [] : await readPhrases(refusalPhrases);
  const phrases = [...(refusals ? REFUSAL_PHRASES : []), ...more];
  return {
    ...others,
    refusals: phrases.length > 0 ? refusalTable(phrases) : undefined,
    benchmarks:
      decontaminate.length > 0 ? await readBenchmarks(decontaminate, { ngram, field: benchmarkField }) : undefined,
    tokenizerFolder: tokenizer,
  };
}

type Places = RowBlock["rows"];

/** The inputs' rows in blocks; `onTheirWay` is told which rows each of them holds. */
async function* blocksOf(
  inputs: readonly string[],
  { split, limit = Number.POSITIVE_INFINITY }: PrepareSettings,
  onTheirWay: Places[],
): AsyncGenerator<RowBlock, void, void> {
  async function* rows(): AsyncGenerator<RawRow, void, void> {
    let left = limit;
    for (const input of inputs) {
      for await (const row of readRawRows(input, { split, limit: left })) {
        left--;
        yield row;
      }
    }
  }
  for await (const block of rowBlocks(rows())) {
    onTheirWay.push(block.rows);
    yield block;
  }
}

/** Takes curated blocks in their order: what depends on the rows before is decided here. */
class Gatherer {
  readonly onTheirWay: Places[] = [];
  private readonly duplicates: Duplicates;

  constructor(
    private readonly settings: PrepareSettings,
    private readonly tally: PrepareTally,
    private readonly files: PreparedFiles,
  ) {
    this.duplicates = new Duplicates(settings);
  }

  async gather({ kept, dropped, changed, lines, sketches }: CuratedBlock): Promise<void> {
    const places = this.onTheirWay.shift()!;
    const { trainName, testName, strict } = this.settings;
    this.tally.read += places.length;
    for (const change of changed) this.tally.change(change, places[change.at]!);

    const gone = [...dropped];
    const [train, test]: [Uint8Array[], Uint8Array[]] = [[], []];
    let begin = 0;
    for (const [i, row] of kept.entries()) {
      const line = lines.subarray(begin, row.end);
      begin = row.end;
      const sketch = sketches.subarray(i * SKETCH_SIZE, (i + 1) * SKETCH_SIZE);
      const drop = this.duplicates.admit(row, sketch, places[row.at]!);
      if (drop !== undefined) {
        gone.push({ ...drop, at: row.at, ...(this.tally.wants(drop.reason) && { text: excerpt(promptOf(line)) }) });
        continue;
      }
      (row.isTest ? test : train).push(line);
      this.tally.keep(row);
    }
    gone.sort((a, b) => a.at - b.at);
    for (const drop of gone) {
      if (strict && drop.step === "shape") throw new DataError(places[drop.at]!, drop.detail);
      this.tally.drop(drop, places[drop.at]!);
    }
    await this.files.append(`${trainName}.jsonl`, train);
    await this.files.append(`${testName}.jsonl`, test);
    const told = gone.map(({ at, step, reason, detail }) => {
      const { source, index } = places[at]!;
      return Buffer.from(`${JSON.stringify({ file: source, line: index + 1, step, reason, detail })}\n`);
    });
    await this.files.append("dropped.jsonl", told);
  }
}

const promptOf = (line: Uint8Array): string => JSON.parse(Buffer.from(line).toString()).prompt;

function nothingLeft({ inputs, read, steps }: PrepareReport): FileError {
  const reasons = steps.flatMap(({ dropped }) => Object.entries(dropped)).filter(([, count]) => count > 0);
  const told = reasons.map(([reason, count]) => `${reason} ${count}`).join(", ");
  return new FileError(inputs.join(", "), `no row of ${read} is left (${told}), expected at least one`);
}
