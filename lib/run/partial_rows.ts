import { appendFileSync, closeSync, fdatasyncSync, ftruncateSync, openSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";

import { ConfigError, FileError } from "../base/errors.js";

/** What rows were made with; rows made with anything else are not gone on with. */
export type Origin = Readonly<Record<string, unknown>>;

/**
 * Rows that are finished, in a file that outlives the process: the origin first, then a line a row, as they come. A line
 * that a killed process wrote in part is dropped.
 */
export class PartialRows<Row> {
  readonly finished: Map<number, Row>;

  private constructor(
    readonly path: string,
    private readonly file: number,
    finished: Map<number, Row>,
  ) {
    this.finished = finished;
  }

  /**
   * Opens a file of finished rows, or begins one. Throws FileError for one that is there and is not to be gone on with or
   * is none of ours, and ConfigError for one of another origin.
   */
  static async open<Row>(path: string, origin: Origin, goesOn: boolean): Promise<PartialRows<Row>> {
    const text = await readFile(path, "utf8").catch((cause) => {
      if (cause.code === "ENOENT") return undefined;
      throw new FileError(path, cause.message, { cause });
    });
    if (text && !text.startsWith('{"origin":')) {
      throw new FileError(path, "is there and holds no finished rows, expected no such file");
    }
    const whole = text?.slice(0, text.lastIndexOf("\n") + 1) ?? "";
    const [head, ...lines] = whole.split("\n").slice(0, -1);
    const isNew = lines.length === 0;
    const finished = isNew ? new Map<number, Row>() : readFinished<Row>(path, head!, lines, origin, goesOn);
    try {
      const file = openSync(path, "a");
      ftruncateSync(file, isNew ? 0 : Buffer.byteLength(whole));
      if (isNew) appendFileSync(file, `${JSON.stringify({ origin })}\n`);
      return new PartialRows(path, file, finished);
    } catch (cause) {
      throw new FileError(path, `cannot be written: ${(cause as Error).message}`, { cause });
    }
  }

  add(index: number, row: Row): void {
    try {
      appendFileSync(this.file, `${JSON.stringify({ index, row })}\n`);
    } catch (cause) {
      throw new FileError(this.path, `cannot be written: ${(cause as Error).message}`, { cause });
    }
    this.finished.set(index, row);
  }

  /** Keeps the file for a later call, unless it holds no rows. */
  async keep(): Promise<void> {
    if (this.finished.size === 0) return this.remove();
    fdatasyncSync(this.file);
    closeSync(this.file);
  }

  async remove(): Promise<void> {
    closeSync(this.file);
    await rm(this.path, { force: true });
  }
}

function readFinished<Row>(
  path: string,
  head: string,
  lines: string[],
  origin: Origin,
  goesOn: boolean,
): Map<number, Row> {
  const before = parseLine(path, head).origin as Origin;
  if (!goesOn) {
    const found = `holds ${lines.length} finished rows of a call that was stopped`;
    throw new FileError(path, `${found}; go on with them with --continue, or remove the file`);
  }
  for (const key of new Set([...Object.keys(before), ...Object.keys(origin)])) {
    const [then, now] = [before, origin].map((from) => JSON.stringify(from[key]) ?? "not set");
    if (then !== now) throw new ConfigError(key, `${now}, expected ${then}, with which the rows of ${path} were made`);
  }
  return new Map(lines.map((line) => parseLine(path, line)).map(({ index, row }) => [index as number, row as Row]));
}

function parseLine(path: string, line: string): Record<string, unknown> {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new FileError(path, `is not JSON: ${(cause as Error).message}`, { cause });
  }
}
