import { type FileHandle, open } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { FileError } from "../base/errors.js";
import { syncFolder, whatWasRefused, writeAll } from "../base/files.js";
import { type Lock, lock } from "../base/lock.js";
import { type Origin, readRecords } from "./journal_lines.js";

/**
 * Records that outlive the process, a JSON line each in the order they came, behind a line of their origin. What was
 * appended is on the disk; a line that a killed process wrote in part is cut off. One process at a time has it open.
 */
export class Journal<R extends object> {
  private readonly waiting: Waiting<R>[] = [];
  private writing: Promise<void> | undefined;
  private failure: FileError | undefined;

  private constructor(
    readonly path: string,
    private readonly file: FileHandle,
    private readonly lock: Lock,
    private readonly known: R[],
    private size: number,
  ) {}

  /**
   * Opens a journal or begins one. Throws FileError for a file that is none, that cannot be written, or that another
   * process has open, and ConfigError, with the key, for one of another origin.
   */
  static async open<R extends object>(path: string, origin: Origin): Promise<Journal<R>> {
    const held = await lock(path);
    try {
      const { records, size } = await readRecords<R>(path, origin);
      const file = await open(path, size === 0 ? "w" : "r+").catch((cause) => refuse(path, cause));
      const journal = new Journal<R>(path, file, held, records, size);
      try {
        await journal.begin(origin);
      } catch (error) {
        await file.close();
        throw error;
      }
      return journal;
    } catch (error) {
      await held[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The records of a journal, which need not be there and is left as it is. Throws as `open` does. */
  static async read<R extends object>(path: string, origin: Origin): Promise<readonly R[]> {
    return (await readRecords<R>(path, origin)).records;
  }

  /** All that is on the disk: what was there, then what was appended. */
  get records(): readonly R[] {
    return this.known;
  }

  /** Adds a record; resolves when it is on the disk. After a FileError nothing more is taken. */
  append(record: R): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ record, line: lineOf(record), resolve, reject });
      this.writing ??= this.writeWaiting();
    });
  }

  /** Ends it, when all that was appended is on the disk. */
  async close(): Promise<void> {
    await this.writing;
    await this.file.close();
    await this.lock[Symbol.asyncDispose]();
  }

  private async begin(origin: Origin): Promise<void> {
    try {
      await this.file.truncate(this.size);
      if (this.size > 0) return;
      await this.write(lineOf({ origin }));
      await syncFolder(dirname(resolve(this.path)));
    } catch (cause) {
      await refuse(this.path, cause as NodeJS.ErrnoException);
    }
  }

  /** What comes while one lot is written goes to the disk together, as the next. */
  private async writeWaiting(): Promise<void> {
    await undefined; // what is appended in one go is one lot
    while (this.waiting.length > 0) await this.writeLot(this.waiting.splice(0));
    this.writing = undefined;
  }

  private async writeLot(lot: readonly Waiting<R>[]): Promise<void> {
    const lines = Buffer.concat(lot.map(({ line }) => line));
    try {
      if (this.failure !== undefined) throw this.failure;
      await this.write(lines);
    } catch (error) {
      const isCut = await this.file.truncate(this.size).then(
        () => true,
        () => false, // the next `open` will
      );
      if (this.failure === undefined && isCut && lot.length > 1) {
        for (const one of lot) await this.writeLot([one]); // some of them may have room
        return;
      }
      this.failure ??= await this.describe(error as NodeJS.ErrnoException, lines.length);
      for (const { reject } of lot) reject(this.failure);
      return;
    }
    for (const { record, resolve } of lot) {
      this.known.push(record);
      resolve();
    }
  }

  private async write(lines: Buffer): Promise<void> {
    await writeAll(this.file, lines, this.size);
    await this.file.datasync();
    this.size += lines.length;
  }

  private async describe(cause: NodeJS.ErrnoException, needed: number): Promise<FileError> {
    const what = await whatWasRefused(this.path, cause, needed);
    return new FileError(this.path, `cannot be written: ${what}; the ${this.known.length} records in it are whole`, {
      cause,
    });
  }
}

interface Waiting<R> {
  readonly record: R;
  readonly line: Buffer;
  readonly resolve: () => void;
  readonly reject: (error: FileError) => void;
}

const lineOf = (value: object): Buffer => Buffer.from(`${JSON.stringify(value)}\n`);

async function refuse(path: string, cause: NodeJS.ErrnoException): Promise<never> {
  throw new FileError(path, `cannot be written: ${await whatWasRefused(path, cause)}`, { cause });
}
