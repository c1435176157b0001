import { createReadStream, type ReadStream } from "node:fs";
import { createGunzip } from "node:zlib";
import { FileError } from "../base/errors.js";
import { READABLE } from "./file_kind.js";
import { unzstd } from "./zstd.js";

/**
 * The bytes of a file from its beginning, unpacked where its name ends in .gz or .zst; only a few pieces, and zstd's
 * window, are in memory. Throws FileError, also where what is packed ends early or has a wrong checksum.
 */
export async function* bytesOf(source: string): AsyncGenerator<Buffer, void, void> {
  const file = createReadStream(source);
  try {
    if (source.endsWith(".gz")) yield* gunzipped(file);
    else if (source.endsWith(".zst")) yield* unzstdOf(file);
    else yield* file as AsyncIterable<Buffer>;
  } catch (error) {
    throw asFileError(source, error as NodeJS.ErrnoException);
  } finally {
    file.destroy();
  }
}

/** Without the byte order mark that a file may begin with. */
export async function* withoutMark(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
  let isFirst = true;
  for await (const chunk of chunks) {
    yield isFirst && chunk.subarray(0, 3).equals(MARK) ? chunk.subarray(3) : chunk;
    isFirst = false;
  }
}

const MARK = Buffer.of(0xef, 0xbb, 0xbf);

/** What kept a file of rows from being read. */
export function asFileError(path: string, error: NodeJS.ErrnoException): FileError {
  if (error instanceof FileError) return error;
  if (error.code === "ENOENT") {
    return new FileError(path, `is missing, expected a ${READABLE} file or a folder of them on this machine`);
  }
  const isZip = typeof error.code === "string" && error.code.startsWith("Z_");
  return new FileError(path, isZip ? `is not whole gzip: ${error.message}` : error.message, { cause: error });
}

function gunzipped(file: ReadStream): AsyncIterable<Buffer> {
  const unzip = createGunzip();
  file.on("error", (error) => unzip.destroy(error));
  return file.pipe(unzip);
}

async function* unzstdOf(file: ReadStream): AsyncGenerator<Buffer, void, void> {
  try {
    yield* unzstd(file as AsyncIterable<Buffer>);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).syscall !== undefined) throw cause;
    throw new FileError(String(file.path), `is not whole zstd: ${(cause as Error).message}`, { cause });
  }
}
