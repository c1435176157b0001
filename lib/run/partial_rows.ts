import { rm } from "node:fs/promises";

import { ConfigError, FileError } from "../base/errors.js";
import { Journal } from "../feedback/journal.js";
import type { Origin } from "../feedback/journal_lines.js";

interface FinishedRow<Row> {
  readonly index: number;
  readonly row: Row;
}

/** Rows that are finished, in a journal that outlives the process until all are. */
export class PartialRows<Row> {
  private constructor(
    private readonly journal: Journal<FinishedRow<Row>>,
    readonly finished: Map<number, Row>,
  ) {}

  /**
   * Opens a file of finished rows, or begins one. Throws FileError for one that is there and is not to be gone on with, or
   * that a journal cannot be, and ConfigError for one of another origin.
   */
  static async open<Row>(path: string, origin: Origin, goesOn: boolean): Promise<PartialRows<Row>> {
    const refused = new FileError(
      path,
      "is of a call that was stopped; go on with it with --continue, or remove the file",
    );
    const journal = await Journal.open<FinishedRow<Row>>(path, origin).catch((error) => {
      throw error instanceof ConfigError && !goesOn ? refused : error;
    });
    if (journal.records.length > 0 && !goesOn) {
      await journal.close();
      throw refused;
    }
    return new PartialRows(journal, new Map(journal.records.map(({ index, row }) => [index, row])));
  }

  get path(): string {
    return this.journal.path;
  }

  /** Resolves when the row is on the disk. */
  async add(index: number, row: Row): Promise<void> {
    await this.journal.append({ index, row });
    this.finished.set(index, row);
  }

  /** Keeps the file for a later call, unless it holds no rows. */
  async keep(): Promise<void> {
    if (this.finished.size === 0) await this.remove();
    else await this.journal.close();
  }

  async remove(): Promise<void> {
    await this.journal.close();
    await rm(this.path, { force: true });
  }
}
