import { Decompress } from "fzstd";
import xxhash from "xxhash-wasm";

const { create64 } = await xxhash();

const FRAME = 0xfd2fb528; // magic number
const SKIPPED = 0x184d2a50; // to 0x184d2a5f
const MOST_BLOCK_BYTES = 1 << 17;
/** What Zstandard's own program takes unless told otherwise; a window is in memory as a whole. */
const MOST_WINDOW_BYTES = 1 << 27;

/**
 * Unpacks .zst frames a block at a time, each of which gives 128 KiB at most, and checks each frame's size and checksum
 * where it has them. Throws Error.
 */
export async function* unzstd(packed: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
  const input = new Input(packed);
  for (let magic = await input.upTo(4); magic.length > 0; magic = await input.upTo(4)) {
    const number = magic.length === 4 ? magic.readUInt32LE() : 0;
    if (number === FRAME) yield* unpackFrame(input, magic);
    else if ((number & ~15) >>> 0 === SKIPPED) await input.skip((await input.take(4)).readUInt32LE());
    else throw new Error(`it has ${magic.toString("hex")} where a frame begins, expected 28b52ffd`);
  }
}

async function* unpackFrame(input: Input, magic: Buffer): AsyncGenerator<Buffer, void, void> {
  const { plain, size, hasChecksum } = await readHeader(input);
  const unpacked: Uint8Array[] = [];
  const frame = new Decompress((piece) => unpacked.push(piece));
  frame.push(Buffer.concat([magic, plain]));
  const hash = create64();
  let done = 0;
  for (let isLast = false; !isLast; ) {
    const head = await input.take(3);
    const [word, isRun] = [head.readUIntLE(0, 3), (head[0]! & 6) === 2];
    isLast = (word & 1) === 1;
    if (word >> 3 > MOST_BLOCK_BYTES) throw new Error(`it has a block of ${word >> 3} bytes`);
    frame.push(Buffer.concat([head, await input.take(isRun ? 1 : word >> 3)]), isLast);
    for (const piece of unpacked.splice(0)) {
      done += piece.length;
      if (hasChecksum) hash.update(piece);
      yield Buffer.from(piece.buffer, piece.byteOffset, piece.length);
    }
  }
  if (size !== undefined && done !== size) throw new Error(`a frame holds ${done} bytes, expected ${size}`);
  if (!hasChecksum) return;
  const [found, expected] = [Number(hash.digest() & 0xffffffffn), (await input.take(4)).readUInt32LE()];
  if (found !== expected) throw new Error(`a frame has the checksum ${found}, expected ${expected}`);
}

interface Header {
  readonly plain: Buffer; // what follows the magic number, without word of a checksum
  readonly size: number | undefined; // of what is packed
  readonly hasChecksum: boolean;
}

async function readHeader(input: Input): Promise<Header> {
  const flags = (await input.take(1))[0]!;
  const isOneSegment = (flags & 32) !== 0;
  const sizeBytes = flags >> 6 === 0 ? (isOneSegment ? 1 : 0) : 1 << (flags >> 6);
  if ((flags & 3) !== 0) throw new Error("it is packed with a dictionary, expected none");
  const rest = await input.take((isOneSegment ? 0 : 1) + sizeBytes);
  const size = sizeBytes === 0 ? undefined : sizeOf(rest.subarray(-sizeBytes));
  const window = isOneSegment ? size! : (1 + (rest[0]! & 7) / 8) * 2 ** (10 + (rest[0]! >> 3));
  if (window > MOST_WINDOW_BYTES) {
    throw new Error(`it needs a window of ${window} bytes, expected ${MOST_WINDOW_BYTES} at most`);
  }
  return { plain: Buffer.concat([Buffer.of(flags & ~4), rest]), size, hasChecksum: (flags & 4) !== 0 };
}

function sizeOf(bytes: Buffer): number {
  if (bytes.length === 8) return Number(bytes.readBigUInt64LE());
  return bytes.readUIntLE(0, bytes.length) + (bytes.length === 2 ? 256 : 0);
}

/** Bytes that come in pieces, taken as many at a time as are needed. */
class Input {
  private readonly pieces: AsyncIterator<Buffer>;
  private piece: Buffer = Buffer.alloc(0);

  constructor(pieces: AsyncIterable<Buffer>) {
    this.pieces = pieces[Symbol.asyncIterator]();
  }

  /** The next so many bytes, or as many as there are. */
  async upTo(count: number): Promise<Buffer> {
    while (this.piece.length < count) {
      const { value, done } = await this.pieces.next();
      if (done) break;
      this.piece = this.piece.length === 0 ? value : Buffer.concat([this.piece, value]);
    }
    const taken = this.piece.subarray(0, count);
    this.piece = this.piece.subarray(taken.length);
    return taken;
  }

  async take(count: number): Promise<Buffer> {
    const taken = await this.upTo(count);
    if (taken.length < count) throw new Error("it ends early");
    return taken;
  }

  async skip(count: number): Promise<void> {
    for (let left = count; left > 0; ) left -= (await this.take(Math.min(left, MOST_BLOCK_BYTES))).length;
  }
}
