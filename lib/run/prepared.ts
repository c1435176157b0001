import type { Rows } from "../data/rows.js";
import type { Located } from "../hub/resolve.js";
import type { Llama } from "../model/llama.js";
import type { Tokenizer } from "../text/tokenizer.js";
import type { DeviceTask, TaskOptions } from "../train/task.js";
import type { RunEvent } from "./events.js";

/** What a method brings to a run: its rows, tokenised, and what is learned from them. */
export interface Prepared<Row> {
  readonly kind: "sft" | "dpo";
  /** What is trained. */
  readonly base: Located;
  readonly tokenizer: Tokenizer;
  /** The source of the chat template. */
  readonly template: string;
  /** Rows kept, dropped and truncated. */
  readonly facts: readonly (readonly [string, string | number])[];
  readonly numRows: number;
  /** Tokens of the longest row. */
  readonly longest: number;
  /** A hash of every token, so that a run is resumed with the data it began with. */
  readonly dataHash: string;
  /** Token ids and text of prompts to answer before and after, for the report. */
  readonly samplePrompts: readonly { readonly text: string; readonly ids: Int32Array }[];
  /** What is learned. */
  task(model: Llama, options: TaskOptions): DeviceTask<Row>;
  /** A row of so many tokens, so many of them labels if its kind can have as many. */
  widestRow(tokens: number, labels: number): Row;
  /** Ends with the rows as the task takes them. Called with the model as it was before training. */
  start(model: Llama, context: StartContext): AsyncIterable<RunEvent | Started<Row>>;
}

export interface StartContext {
  readonly options: TaskOptions;
  readonly outputDir: string;
  readonly signal?: AbortSignal;
}

export interface Started<Row> {
  readonly kind: "started";
  readonly rows: Rows<Row>;
  readonly evalRows: Rows<Row>;
}
