import { assert } from "../base/errors.js";
import { DTYPE_BYTES, type StoredDtype } from "./safetensors.js";

/** A tensor to be written. `data` gives its bytes, little-endian and row-major, when its turn comes. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  readonly data: () => Promise<Uint8Array>;
}

export function tensorBytes(tensor: { readonly dtype: StoredDtype; readonly shape: readonly number[] }): number {
  return tensor.shape.reduce((n, axis) => n * axis, DTYPE_BYTES[tensor.dtype]);
}

/**
 * The bytes of a safetensors file, one chunk for the header and one for each tensor, and how many there are in all.
 * The layout is the reference implementation's: widest dtype first, then by name, the header padded with spaces so
 * that data starts at a multiple of 8.
 */
export function safetensorsFile(
  entries: readonly TensorEntry[],
  metadata: ReadonlyMap<string, string> = new Map(),
): { size: number; chunks: AsyncIterable<Uint8Array> } {
  const ordered = entries.toSorted((a, b) => rank(b.dtype) - rank(a.dtype) || compareUtf8(a.name, b.name));
  const named: [string, unknown][] = metadata.size === 0 ? [] : [["__metadata__", Object.fromEntries(metadata)]];
  assert(!entries.some(({ name }) => name === "__metadata__"), "no tensor is called __metadata__");
  let at = 0;
  for (const entry of ordered) {
    const end = at + tensorBytes(entry);
    named.push([entry.name, { dtype: entry.dtype, shape: entry.shape, data_offsets: [at, end] }]);
    at = end;
  }
  assert(new Set(named.map(([name]) => name)).size === named.length, "tensor names are unique");
  const header = frame(writeObject(named));
  return { size: header.length + at, chunks: generate(header, ordered) };
}

async function* generate(header: Uint8Array, entries: readonly TensorEntry[]): AsyncGenerator<Uint8Array> {
  yield header;
  for (const entry of entries) {
    const bytes = await entry.data();
    const expected = tensorBytes(entry);
    assert(
      bytes.byteLength === expected,
      `${entry.name}: ${bytes.byteLength} bytes of data, its shape has ${expected}`,
    );
    yield bytes;
  }
}

/** The length of the header as a little-endian u64, then the header. */
function frame(json: string): Uint8Array {
  const text = new TextEncoder().encode(json);
  const length = Math.ceil(text.length / 8) * 8;
  const framed = new Uint8Array(8 + length).fill(0x20);
  new DataView(framed.buffer).setBigUint64(0, BigInt(length), true);
  framed.set(text, 8);
  return framed;
}

// An object literal would move names that look like numbers to the front.
function writeObject(entries: readonly [string, unknown][]): string {
  return `{${entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",")}}`;
}

const RANKS = Object.keys(DTYPE_BYTES);
const rank = (dtype: StoredDtype): number => RANKS.indexOf(dtype);

function compareUtf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
