import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { eachAtOnce } from "../base/each_at_once.js";
import { AbortedError, ConfigError, DataError } from "../base/errors.js";
import { makeFolder } from "../base/files.js";
import { Random } from "../base/random.js";
import { checkWritable, writeRows } from "../data/write_rows.js";
import type { Origin } from "../feedback/journal_lines.js";
import { type Completion, complete } from "../generate/complete.js";
import type { TextModel } from "../generate/text_model.js";
import { type CompletionOptions, type ShownScore, showScores } from "./generated.js";
import { checkApart } from "./output_apart.js";
import { PartialRows } from "./partial_rows.js";
import { encodePromptRow, type PromptOptions, type PromptRow } from "./prompt_rows.js";

export interface GenerateFileOptions {
  /** What the model is called: rows of another are not gone on with. */
  readonly model: string;
  readonly prompts?: PromptOptions | undefined;
  readonly request?: Omit<CompletionOptions, "signal"> | undefined;
  /** Most prompts that are asked at the same time; the engine lets those wait that it has no room for. Default 256. */
  readonly concurrency?: number | undefined;
  /** Go on with the rows that a call before finished. */
  readonly continue?: boolean | undefined;
  /** Is told how far it is, whenever a row is finished. */
  readonly report?: ((progress: GenerateProgress) => void) | undefined;
  /** Ends it with an AbortedError; finished rows are kept. */
  readonly signal?: AbortSignal | undefined;
}

export interface GenerateProgress {
  readonly done: number;
  readonly total: number;
  /** Rows of a call before. */
  readonly continued: number;
  /** Tokens of the answers of this call, and its seconds. */
  readonly tokens: number;
  readonly seconds: number;
}

/** What the answers to a row add to its fields; lists where there are several choices. */
type AnswerFields = Readonly<Record<string, unknown>>;

const CONCURRENCY = 256;

/**
 * Answers all rows at the same time and writes them, in their order and with their answers, as a .jsonl, .jsonl.gz or
 * .parquet file by the end of its name, whole or not at all. Rows that are finished before it ends are in `output` with
 * `.partial` behind its name. Each row's random numbers depend on the seed and its place alone. Throws DataError for a row
 * that cannot be asked, before any is; AbortedError with the signal; FileError, and ConfigError for an output that would
 * take the place of the rows' own file.
 */
export async function generateFile(
  model: TextModel,
  rows: readonly PromptRow[],
  output: string,
  options: GenerateFileOptions,
): Promise<GenerateProgress> {
  const { request = {}, concurrency = CONCURRENCY, report, signal } = options;
  await checkWritable(output);
  for (const source of new Set(rows.map(({ place }) => place.source))) await checkApart(source, output);
  const prompts = rows.map((row) => encodePromptRow(row, model, options.prompts ?? {}));
  await makeFolder(dirname(output));
  const origin = originOf(prompts, options.model, request);
  const partial = await PartialRows.open<AnswerFields>(`${output}.partial`, origin, options.continue === true);
  const continued = partial.finished.size;
  const start = performance.now();
  let tokens = 0;
  const progress = (): GenerateProgress => {
    const seconds = (performance.now() - start) / 1000;
    return { done: partial.finished.size, total: rows.length, continued, tokens, seconds };
  };

  const missing = [...rows.keys()].filter((index) => !partial.finished.has(index));
  try {
    await eachAtOnce(missing, concurrency, signal, async (index, stop) => {
      const seed = request.seed === undefined ? undefined : new Random(request.seed, index).nextUint32();
      const asked = complete(model.engine, { ...request, prompt: prompts[index]!, seed, signal: stop });
      const answers = await asked.catch((error) => {
        throw error instanceof ConfigError && error.key === "prompt"
          ? new DataError(rows[index]!.place, error.message)
          : error;
      });
      await partial.add(index, answerFields(prompts[index]!.length, answers, request.logprobs !== undefined));
      for (const { numTokens } of answers) tokens += numTokens;
      report?.(progress());
    });
    await writeRows(
      output,
      rows.map(({ fields }, index) => ({ ...fields, ...partial.finished.get(index) })),
    );
  } catch (error) {
    await partial.keep();
    if (error instanceof AbortedError && signal?.aborted) throw stopped(progress(), partial.path);
    throw error;
  }
  await partial.remove();
  return progress();
}

function stopped({ done, total }: GenerateProgress, path: string): AbortedError {
  const kept = done > 0 ? `; the answers are in ${path}, and --continue goes on with them` : "";
  return new AbortedError(0, `stopped after ${done} of ${total} prompts${kept}`);
}

function answerFields(promptTokens: number, answers: readonly Completion[], hasScores: boolean): AnswerFields {
  const several = answers.length > 1;
  const each = <T>(what: (answer: Completion) => T): T | T[] => (several ? answers.map(what) : what(answers[0]!));
  return {
    [several ? "completions" : "completion"]: each(({ text }) => text),
    finish: each(({ finish }) => finish),
    prompt_tokens: promptTokens,
    completion_tokens: each(({ numTokens }) => numTokens),
    ...(hasScores && { logprobs: each((answer): ShownScore[] => showScores(answer)) }),
  };
}

/** What the answers depend on. */
function originOf(prompts: readonly Int32Array[], model: string, request: Omit<CompletionOptions, "signal">): Origin {
  const hash = createHash("sha256");
  for (const ids of prompts) hash.update(`${ids.length}:`).update(ids);
  const logitBias = request.logitBias && [...request.logitBias];
  return { model, ...request, logitBias, prompts: `${prompts.length} with tokens ${hash.digest("hex").slice(0, 16)}` };
}
