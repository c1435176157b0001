import { type FileHandle, open } from "node:fs/promises";
import { FileError } from "../base/errors.js";
import { isObject } from "../base/json.js";
import { parseStrictJson } from "./strict_json.js";

/** Bytes of one number of each dtype, in the order in which the reference implementation ranks them. */
export const DTYPE_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  F8_E8M0: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  C64: 8,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;
export type StoredDtype = keyof typeof DTYPE_BYTES;

/** A tensor in a safetensors file: little-endian, row-major, bytes [begin, end) counted from the start of the file. */
export interface StoredTensor {
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: ReadonlyMap<string, string>;
  /** Where the data starts: 8 + the header's length. */
  readonly dataStart: number;
}

const MAX_HEADER_BYTES = 100_000_000;

/**
 * Reads the header of a safetensors file and holds the whole file to the format: every byte of data belongs to
 * exactly one tensor. Throws FileError with the first fact that is wrong.
 */
export async function readSafetensorsHeader(path: string): Promise<SafetensorsHeader> {
  const handle = await open(path).catch((cause) => refuseOpen(path, cause));
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw new FileError(path, "not a file, expected safetensors");
    const start = await readExactly(handle, 0, Math.min(8, stat.size));
    const headerBytes = headerLength(path, start, stat.size);
    return parseSafetensorsHeader(path, await readExactly(handle, 8, headerBytes), stat.size);
  } finally {
    await handle.close();
  }
}

function refuseOpen(path: string, cause: NodeJS.ErrnoException): never {
  const what = cause.code === "ENOENT" ? "no such file" : cause.code === "EACCES" ? "permission denied" : cause.message;
  throw new FileError(path, what, { cause });
}

/** Reads `length` bytes from `at`, or as many as there are. */
async function readExactly(handle: FileHandle, at: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(bytes, done, length - done, at + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}

function headerLength(path: string, start: Uint8Array, fileBytes: number): number {
  if (start.length < 8) {
    throw new FileError(path, `${fileBytes} bytes long, expected a safetensors file of at least 8; it is cut short`);
  }
  if (new TextDecoder().decode(start) === "version ") {
    throw new FileError(path, "a git-lfs pointer, expected the weights themselves; fetch them with `git lfs pull`");
  }
  const length = new DataView(start.buffer, start.byteOffset).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES) {
    throw new FileError(
      path,
      `header of ${length} bytes, expected at most ${MAX_HEADER_BYTES}; not a safetensors file`,
    );
  }
  if (8n + length > fileBytes) {
    throw new FileError(path, `${fileBytes} bytes long, expected ${8n + length} for the header alone; it is cut short`);
  }
  return Number(length);
}

/** Checks the JSON part of a file that is `fileBytes` long in all. */
export function parseSafetensorsHeader(path: string, header: Uint8Array, fileBytes: number): SafetensorsHeader {
  const dataStart = 8 + header.length;
  const tensors = new Map<string, StoredTensor>();
  let metadata: ReadonlyMap<string, string> = new Map();
  for (const [name, value] of Object.entries(readJson(path, header))) {
    if (!isObject(value)) {
      if (name === "__metadata__" && value === null) continue;
      throw new FileError(path, `${show(name)} is ${show(value)}, expected an object`);
    }
    if (name === "__metadata__") metadata = readMetadata(path, value);
    else tensors.set(name, readTensor(path, name, value, dataStart));
  }
  checkLayout(path, tensors, dataStart, fileBytes);
  return { tensors, metadata, dataStart };
}

// The root, a tensor, its shape.
const MAX_DEPTH = 3;

function readJson(path: string, header: Uint8Array): Record<string, unknown> {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(header);
  } catch (cause) {
    throw new FileError(path, "the header is not UTF-8", { cause });
  }
  let value: unknown;
  try {
    value = parseStrictJson(text, MAX_DEPTH);
  } catch (cause) {
    throw new FileError(path, `the header is not strict JSON: ${(cause as Error).message}`, { cause });
  }
  if (!isObject(value) || text[0] !== "{") throw new FileError(path, "the header does not start with a JSON object");
  return value;
}

function readMetadata(path: string, value: Record<string, unknown>): Map<string, string> {
  const metadata = new Map<string, string>();
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== "string") {
      throw new FileError(path, `__metadata__ has ${show(text)} for ${show(key)}, expected a string`);
    }
    metadata.set(key, text);
  }
  return metadata;
}

function readTensor(path: string, name: string, value: Record<string, unknown>, dataStart: number): StoredTensor {
  const refuse = (fact: string): never => {
    throw new FileError(path, `tensor ${show(name)}: ${fact}`);
  };
  if (LONE_SURROGATE.test(name)) refuse("the name is not well-formed Unicode");
  for (const key of Object.keys(value)) {
    if (!["dtype", "shape", "data_offsets"].includes(key)) refuse(`${show(key)} is not part of the format`);
  }
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isDtype(dtype)) return refuse(`dtype ${show(dtype)}, expected one of ${Object.keys(DTYPE_BYTES).join(", ")}`);
  if (!isCounts(shape)) return refuse(`shape ${show(shape)}, expected a list of whole numbers`);
  if (!isCounts(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    return refuse(`data_offsets ${show(offsets)}, expected [begin, end]`);
  }
  const [begin, end] = offsets as [number, number];
  const bytes = shape.reduce((n, axis) => n * axis, DTYPE_BYTES[dtype]);
  if (bytes !== end - begin) {
    refuse(`${end - begin} bytes of data, expected ${bytes} for ${dtype} ${JSON.stringify(shape)}`);
  }
  return { dtype, shape, begin: dataStart + begin, end: dataStart + end };
}

const LONE_SURROGATE = /\p{Surrogate}/u;

function checkLayout(path: string, tensors: Map<string, StoredTensor>, dataStart: number, fileBytes: number): void {
  const inOrder = [...tensors].toSorted(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let at = dataStart;
  for (const [name, { begin, end }] of inOrder) {
    if (begin !== at) {
      const what = begin < at ? "overlaps the tensor before it" : `leaves ${begin - at} bytes unused before it`;
      throw new FileError(path, `tensor ${show(name)} ${what}, expected data without holes or overlap`);
    }
    at = end;
  }
  if (at !== fileBytes) {
    const why = at > fileBytes ? "it is cut short" : "bytes follow the last tensor";
    throw new FileError(path, `${fileBytes} bytes long, expected ${at}; ${why}`);
  }
}

function isDtype(value: unknown): value is StoredDtype {
  return typeof value === "string" && Object.hasOwn(DTYPE_BYTES, value);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}

/** A JSON value for an error, cut short when long. */
function show(value: unknown): string {
  const text = JSON.stringify(value) ?? "absent";
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
