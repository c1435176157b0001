import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { FileError } from "../../lib/base/errors.js";
import { writeFileAtomic } from "../../lib/base/files.js";
import {
  DTYPE_BYTES,
  parseSafetensorsHeader,
  readSafetensorsHeader,
  type StoredDtype,
} from "../../lib/checkpoint/safetensors.js";
import { safetensorsFile, type TensorEntry, tensorBytes } from "../../lib/checkpoint/safetensors_write.js";

const golden = (name: string): string => new URL(`../golden/${name}`, import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), "westwind-safetensors-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A file from the text of its header. */
function file(header: string | Uint8Array, dataBytes: number, length?: bigint): Uint8Array {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

async function read(bytes: Uint8Array) {
  const path = join(folder, "x.safetensors");
  writeFileSync(path, bytes);
  return readSafetensorsHeader(path);
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

/** The entries of a file that exists. */
async function entriesOf(path: string): Promise<{ entries: TensorEntry[]; metadata: ReadonlyMap<string, string> }> {
  const { tensors, metadata } = await readSafetensorsHeader(path);
  const bytes = readFileSync(path);
  const entries = [...tensors].map(([name, { dtype, shape, begin, end }]) => ({
    name,
    dtype,
    shape,
    data: async () => bytes.subarray(begin, end),
  }));
  return { entries: entries.reverse(), metadata };
}

test.each(["every_dtype.safetensors", "tiny-llama/model.safetensors", "tiny-mistral/model.safetensors"])(
  "%s, by the reference implementation, is written again byte for byte",
  async (name) => {
    const { entries, metadata } = await entriesOf(golden(name));
    const { size, chunks } = safetensorsFile(entries, metadata);
    const written = await collect(chunks);
    expect(written.length).toBe(size);
    expect(written.equals(readFileSync(golden(name)))).toBe(true);
  },
);

test("a header says where each tensor lies in the file", async () => {
  const header =
    '{"__metadata__":{"a":"b"},"x":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"y":{"dtype":"BF16","shape":[],"data_offsets":[8,10]}}';
  const { tensors, metadata, dataStart } = await read(file(`${header}  `, 10));
  expect(dataStart).toBe(8 + header.length + 2);
  expect([...metadata]).toEqual([["a", "b"]]);
  expect([...tensors]).toEqual([
    ["x", { dtype: "F32", shape: [2, 1], begin: dataStart, end: dataStart + 8 }],
    ["y", { dtype: "BF16", shape: [], begin: dataStart + 8, end: dataStart + 10 }],
  ]);
});

const tensor = (shape: number[], begin: number, end: number, dtype = "F32") =>
  JSON.stringify({ dtype, shape, data_offsets: [begin, end] });

test.each([
  ["an empty file", new Uint8Array(0), "0 bytes long, expected a safetensors file of at least 8; it is cut short"],
  ["seven bytes", new Uint8Array(7), "7 bytes long"],
  ["a header past the end", file("{}", 0, 3n), "10 bytes long, expected 11 for the header alone; it is cut short"],
  ["a huge header", file("{}", 0, 1n << 63n), "header of 9223372036854775808 bytes, expected at most 100000000"],
  ["a git-lfs pointer", Buffer.from("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "a git-lfs pointer"],
  ["no JSON", file("{]", 0), "the header is not strict JSON"],
  ["no object", file("[]", 0), "the header does not start with a JSON object"],
  ["a space first", file(" {}", 0), "the header does not start with a JSON object"],
  ["a byte order mark", file("\ufeff{}", 0), "the header is not strict JSON"],
  ["not UTF-8", file(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d), 0), "the header is not UTF-8"],
  [
    "the same name twice",
    file(`{"x":${tensor([1], 0, 4)},"x":${tensor([1], 0, 4)}}`, 4),
    'the name "x" is there twice',
  ],
  ["the same name, escaped", file(`{"x":${tensor([1], 0, 4)},"\\u0078":${tensor([1], 0, 4)}}`, 4), "is there twice"],
  ["a field twice", file('{"x":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1), "is there twice"],
  ["deep nesting", file(`{"x":${"[".repeat(1e5)}${"]".repeat(1e5)}}`, 0), "nested more than 3 deep"],
  ["a fraction", file('{"x":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}', 1), "1.0 is not a whole number"],
  ["a negative axis", file('{"x":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}', 1), "-1 is not a whole number"],
  ["metadata that is no text", file('{"__metadata__":{"a":1}}', 0), '__metadata__ has 1 for "a", expected a string'],
  ["a tensor that is no object", file('{"x":null}', 0), '"x" is null, expected an object'],
  ["an unknown dtype", file(`{"x":${tensor([1], 0, 4, "F31")}}`, 4), 'tensor "x": dtype "F31", expected one of'],
  ["a dtype of Object", file(`{"x":${tensor([1], 0, 4, "toString")}}`, 4), 'dtype "toString", expected one of'],
  ["no shape", file('{"x":{"dtype":"U8","data_offsets":[0,1]}}', 1), "shape absent, expected a list of whole numbers"],
  [
    "an unknown field",
    file('{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"y":1}}', 1),
    '"y" is not part of the format',
  ],
  [
    "one offset",
    file('{"x":{"dtype":"U8","shape":[1],"data_offsets":[1]}}', 1),
    "data_offsets [1], expected [begin, end]",
  ],
  ["offsets in reverse", file(`{"x":${tensor([1], 4, 0)}}`, 4), "data_offsets [4,0], expected [begin, end]"],
  ["a shape too large", file(`{"x":${tensor([3], 0, 8)}}`, 8), "8 bytes of data, expected 12 for F32 [3]"],
  ["a shape that overflows", file(`{"x":${tensor([2 ** 40, 2 ** 40], 0, 8)}}`, 8), "8 bytes of data, expected"],
  [
    "overlap",
    file(`{"x":${tensor([2], 0, 8)},"y":${tensor([2], 4, 12)}}`, 12),
    'tensor "y" overlaps the tensor before it',
  ],
  [
    "a hole",
    file(`{"x":${tensor([1], 0, 4)},"y":${tensor([1], 8, 12)}}`, 12),
    'tensor "y" leaves 4 bytes unused before it',
  ],
  ["a hole at the start", file(`{"x":${tensor([1], 4, 8)}}`, 8), "leaves 4 bytes unused"],
  ["a short file", file(`{"x":${tensor([2], 0, 8)}}`, 7), "expected 70; it is cut short"],
  ["a long file", file(`{"x":${tensor([2], 0, 8)}}`, 9), "expected 70; bytes follow the last tensor"],
  ["half a surrogate pair", file('{"\\ud800":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}', 0), "not well-formed"],
])("%s is refused", async (_, bytes, message) => {
  const failure = await read(bytes).catch((error) => error);
  expect(failure).toBeInstanceOf(FileError);
  expect(failure.message).toContain(`${join(folder, "x.safetensors")}: `);
  expect(failure.message).toContain(message);
});

test("a missing file and a folder are refused", async () => {
  await expect(readSafetensorsHeader(join(folder, "none"))).rejects.toThrow(`${join(folder, "none")}: no such file`);
  await expect(readSafetensorsHeader(folder)).rejects.toThrow(FileError);
});

test("a metadata of null and no tensors at all are allowed", async () => {
  expect((await read(file('{"__metadata__":null}', 0))).tensors.size).toBe(0);
  expect((await read(file("{}", 0))).tensors.size).toBe(0);
});

const name = fc.oneof(fc.string({ unit: "grapheme" }), fc.constantFrom("__proto__", "12", "constructor", 'a"\\b'));
const arbitraryEntries = fc.uniqueArray(
  fc.record({
    name: name.filter((text) => text !== "__metadata__"),
    dtype: fc.constantFrom(...(Object.keys(DTYPE_BYTES) as StoredDtype[])),
    shape: fc.array(fc.nat(4), { maxLength: 4 }),
    fill: fc.nat(255),
  }),
  { selector: (entry) => entry.name, maxLength: 8 },
);
const arbitraryMetadata = fc
  .array(fc.tuple(name, fc.string({ unit: "grapheme" })), { maxLength: 3 })
  .map((pairs) => new Map(pairs));

test("what is written reads back: names, dtypes, shapes, bytes, metadata", async () => {
  await fc.assert(
    fc.asyncProperty(arbitraryEntries, arbitraryMetadata, async (described, metadata) => {
      const entries = described.map(({ fill, ...rest }) => ({
        ...rest,
        data: async () => new Uint8Array(tensorBytes(rest)).fill(fill),
      }));
      const { size, chunks } = safetensorsFile(entries, metadata);
      const bytes = await collect(chunks);
      expect(bytes.length).toBe(size);
      const headerBytes = Number(bytes.readBigUInt64LE(0));
      expect(headerBytes % 8).toBe(0);
      const read = parseSafetensorsHeader("x", bytes.subarray(8, 8 + headerBytes), bytes.length);
      expect(read.metadata).toEqual(metadata);
      expect(new Set(read.tensors.keys())).toEqual(new Set(described.map((entry) => entry.name)));
      for (const { name, dtype, shape, fill } of described) {
        const found = read.tensors.get(name)!;
        expect(found).toMatchObject({ dtype, shape });
        const width = DTYPE_BYTES[dtype];
        expect(found.begin % width).toBe(0);
        expect(bytes.subarray(found.begin, found.end).every((byte) => byte === fill)).toBe(true);
      }
    }),
    { numRuns: 150 },
  );
});

test("a damaged file is read or refused with a FileError, and nothing else", async () => {
  const whole = readFileSync(golden("every_dtype.safetensors"));
  const change = fc.record({ at: fc.nat(whole.length - 1), to: fc.nat(255) });
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), fc.nat(40), async (changes, cut) => {
      const bytes = Uint8Array.from(whole.subarray(0, whole.length - (cut > 20 ? cut : 0)));
      for (const { at, to } of changes) bytes[at % bytes.length] = to;
      await read(bytes).catch((error) => {
        expect(error).toBeInstanceOf(FileError);
        refused++;
      });
    }),
    { numRuns: 400 },
  );
  expect(refused).toBeGreaterThan(200);
});

test("a file goes to the disk through writeFileAtomic", async () => {
  const { entries, metadata } = await entriesOf(golden("every_dtype.safetensors"));
  const { size, chunks } = safetensorsFile(entries, metadata);
  const path = join(folder, "written.safetensors");
  await writeFileAtomic(path, chunks, { size });
  expect(readFileSync(path).equals(readFileSync(golden("every_dtype.safetensors")))).toBe(true);
});

test("data of the wrong length and names used twice are our own mistakes", async () => {
  const entry = { name: "x", dtype: "F32", shape: [2], data: async () => new Uint8Array(4) } as const;
  await expect(collect(safetensorsFile([entry]).chunks)).rejects.toThrow("x: 4 bytes of data, its shape has 8");
  expect(() => safetensorsFile([entry, entry])).toThrow("tensor names are unique");
  expect(() => safetensorsFile([{ ...entry, name: "__metadata__" }])).toThrow("assertion failed");
});
