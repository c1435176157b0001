import { createReadStream } from "node:fs";
import { ConfigError, FileError } from "../base/errors.js";
import { isObject } from "../base/json.js";

/** What records were made with; a run with anything else does not go on with them. */
export type Origin = Readonly<Record<string, unknown>>;

/** How every journal begins: its first line is `{"origin": {...}}`. */
const HEAD = '{"origin":';

/**
 * The records of a journal's whole lines, and the bytes that those and the origin's take: none of a file that is not there.
 * Throws FileError for a file that is no journal, and ConfigError for one of another origin.
 */
export async function readRecords<R>(path: string, origin: Origin): Promise<{ records: R[]; size: number }> {
  const records: R[] = [];
  let [size, number] = [0, 0];
  for await (const line of wholeLines(path)) {
    size += line.length + 1;
    const value = parseLine(path, ++number, line);
    if (number === 1) expectOrigin(path, value.origin, origin);
    else records.push(value as R);
  }
  return { records, size };
}

/** Lines that end, without their end. Throws FileError for a file that begins in another way than a journal. */
async function* wholeLines(path: string): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  let isChecked = false;
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      if (!isChecked) expectHead(path, rest.subarray(0, HEAD.length).toString());
      isChecked = true;
      let begin = 0;
      for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a, begin)) {
        yield rest.subarray(begin, end);
        begin = end + 1;
      }
      rest = rest.subarray(begin);
    }
  } catch (error) {
    if (error instanceof FileError || error instanceof ConfigError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "ENOENT") throw new FileError(path, `cannot be read: ${message}`, { cause: error });
  }
}

/** A killed process may have written less than the whole head, but nothing else. */
function expectHead(path: string, head: string): void {
  if (!HEAD.startsWith(head))
    throw new FileError(path, "is there and is no journal of westwind, expected no such file");
}

function parseLine(path: string, number: number, line: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line.toString());
    if (isObject(value)) return value;
    throw new SyntaxError("not an object");
  } catch (cause) {
    const what = `line ${number} is damaged: ${(cause as Error).message}`;
    throw new FileError(path, `${what}; without that line the journal can be gone on with`, { cause });
  }
}

function expectOrigin(path: string, before: unknown, now: Origin): void {
  const found = differenceOf(before, JSON.parse(JSON.stringify(now)), []);
  if (found === undefined) return;
  const [there, here] = [found.before, found.now].map((value) => shorten(JSON.stringify(value) ?? "not set"));
  throw new ConfigError(found.key, `${here}, expected ${there}, with which the records of ${path} were made`);
}

interface Difference {
  readonly key: string;
  readonly before: unknown;
  readonly now: unknown;
}

/** The first entry in which two JSON values differ, by its path: `models.1.temperature`. */
function differenceOf(before: unknown, now: unknown, path: readonly string[]): Difference | undefined {
  const isNested = (value: unknown): value is object => typeof value === "object" && value !== null;
  if (!isNested(before) || !isNested(now) || Array.isArray(before) !== Array.isArray(now)) {
    return before === now ? undefined : { key: path.join("."), before, now };
  }
  for (const key of new Set([...Object.keys(before), ...Object.keys(now)])) {
    const [then, at] = [before, now].map((value) => (value as Record<string, unknown>)[key]);
    const found = differenceOf(then, at, [...path, key]);
    if (found !== undefined) return found;
  }
  return undefined;
}

const shorten = (text: string): string => (text.length > 100 ? `${text.slice(0, 97)}...` : text);
