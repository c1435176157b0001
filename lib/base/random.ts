/**
 * Philox4x32-10 (Salmon et al., SC 2011): a counter-based generator. A stream is a pair (seed, stream); its whole
 * state is how many numbers were drawn, so a checkpoint stores one integer and resuming costs nothing.
 */
export class Random {
  private readonly key0: number;
  private readonly key1: number;
  private readonly block = new Uint32Array(4);
  private blockIndex = -1;

  /** `drawn` is how many 32-bit numbers have been taken from the stream. */
  constructor(
    seed: number,
    stream = 0,
    private drawn = 0,
  ) {
    this.key0 = seed >>> 0;
    this.key1 = (Math.floor(seed / 2 ** 32) ^ Math.imul(stream, 0x9e3779b9)) >>> 0;
  }

  get state(): number {
    return this.drawn;
  }

  /** A uniform 32-bit integer. */
  nextUint32(): number {
    const index = Math.floor(this.drawn / 4);
    if (index !== this.blockIndex) this.fillBlock(index);
    return this.block[this.drawn++ % 4]!;
  }

  /** A uniform number in [0, 1) with 32 random bits. */
  next(): number {
    return this.nextUint32() / 2 ** 32;
  }

  /** A uniform integer in [0, bound). */
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  /** A standard normal number (Box and Muller, 1958). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log((this.nextUint32() + 0.5) / 2 ** 32));
    return radius * Math.cos(2 * Math.PI * this.next());
  }

  /** Shuffles in place (Fisher and Yates) and returns the array. */
  shuffle<T, A extends T[] | Int32Array>(array: A): A {
    for (let i = array.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const swapped = array[i]!;
      array[i] = array[j]!;
      array[j] = swapped;
    }
    return array;
  }

  private fillBlock(index: number): void {
    const counter = [index >>> 0, Math.floor(index / 2 ** 32), 0, 0] as const;
    this.block.set(philox4x32(counter, [this.key0, this.key1]));
    this.blockIndex = index;
  }
}

/** Ten rounds of Philox4x32: four 32-bit numbers from a counter of four and a key of two (as signed integers). */
export function philox4x32(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(0xd2511f53, c0);
    const low0 = Math.imul(0xd2511f53, c0);
    const high1 = multiplyHigh(0xcd9e8d57, c2);
    const low1 = Math.imul(0xcd9e8d57, c2);
    [c0, c1, c2, c3] = [high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0];
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  return [c0, c1, c2, c3];
}

/** The upper 32 bits of the 64-bit product of two unsigned 32-bit integers. */
function multiplyHigh(a: number, b: number): number {
  const [aHigh, aLow] = [a >>> 16, a & 0xffff];
  const [bHigh, bLow] = [(b >>> 16) & 0xffff, b & 0xffff];
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const middleLow = (middle % 0x10000) + aLow * bHigh;
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(middleLow / 0x10000)) | 0;
}
