/** Every error a caller can act on. `code` is stable; the message names the place, what was found, what was expected. */
export class WestwindError extends Error {
  constructor(
    readonly code: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** A recipe key, an option or a command line that cannot be used. `key` is the path of the offending entry. */
export class ConfigError extends WestwindError {
  constructor(
    readonly key: string,
    message: string,
  ) {
    super("ERR_CONFIG", key === "" ? message : `${key}: ${message}`);
  }
}

/** The command line itself is wrong: unknown command, missing argument. The CLI exits with 2 for it. */
export class UsageError extends WestwindError {
  constructor(message: string) {
    super("ERR_USAGE", message);
  }
}

/**
 * Where a row came from: a file and its zero-based line in it, of .json and .parquet its row. Shown as `file:line`, counted
 * from 1.
 */
export interface RowPlace {
  readonly source: string;
  readonly index: number;
}

export const showPlace = (row: RowPlace): string => `${row.source}:${row.index + 1}`;

/** A row that cannot be read or turned into tokens. `fact` is the message without the place. */
export class DataError extends WestwindError {
  constructor(
    readonly row: RowPlace,
    readonly fact: string,
  ) {
    super("ERR_DATA", `${showPlace(row)}: ${fact}`);
  }
}

/** A file that is missing, truncated, malformed or cannot be written. */
export class FileError extends WestwindError {
  constructor(
    readonly path: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super("ERR_FILE", `${path}: ${message}`, options);
  }
}

/** A model folder whose config, tokenizer or weights cannot be used. */
export class ModelError extends WestwindError {
  constructor(
    readonly place: string,
    message: string,
  ) {
    super("ERR_MODEL", `${place}: ${message}`);
  }
}

/** The loss or a gradient stopped being a number. Thrown before the optimiser touches a weight. */
export class DivergedError extends WestwindError {
  constructor(
    readonly step: number,
    what: { readonly loss: number; readonly gradNorm: number },
  ) {
    super("ERR_DIVERGED", `step ${step}: loss ${what.loss}, gradient norm ${what.gradNorm}; the weights are unchanged`);
  }
}

/** What is asked for does not fit into a device's memory. Thrown before any of it is taken. */
export class MemoryError extends WestwindError {
  constructor(
    readonly device: string,
    message: string,
  ) {
    super("ERR_OUT_OF_MEMORY", `${device}: ${message}`);
  }
}

/** Stopped by an AbortSignal. What a run had trained until `step` is in the last checkpoint; without a run it is 0. */
export class AbortedError extends WestwindError {
  constructor(
    readonly step: number,
    message: string,
  ) {
    super("ERR_ABORTED", message);
  }
}

/** Why a chat has no answer. `refused`: this one never will have. `denied`: none will, of this model and these settings. */
export type AnswerFailure = "refused" | "denied" | "unavailable";

/** A model did not answer a chat. `model` is its name; the message tells what it said, or what became of the last try. */
export class AnswerError extends WestwindError {
  constructor(
    readonly model: string,
    readonly failure: AnswerFailure,
    message: string,
    options?: ErrorOptions,
  ) {
    super("ERR_ANSWER", `${model}: ${message}`, options);
  }
}

/** The next request could cost more than a budget has left. Nothing was asked. */
export class BudgetError extends WestwindError {
  constructor(message: string) {
    super("ERR_BUDGET", `budget: ${message}`);
  }
}

/** Why the hub did not give something. `denied`: not to this token. `damaged`: what came is not what was promised. */
export type HubFailure =
  | "not-found"
  | "denied"
  | "offline"
  | "unreachable"
  | "rate-limited"
  | "server"
  | "answer"
  | "damaged";

/** A model or data set that the hub did not give. `repo` is its name, `fact` the message without it. */
export class HubError extends WestwindError {
  constructor(
    readonly repo: string,
    readonly failure: HubFailure,
    readonly fact: string,
    options?: ErrorOptions,
  ) {
    super("ERR_HUB", `${repo}: ${fact}`, options);
  }
}

/** An internal promise was broken: a defect of westwind, not of its input. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}
