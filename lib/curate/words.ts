/** What a character is to words. */
const KIND = { unknown: 0, apart: 1, inside: 2, alone: 3 } as const;

// Scripts that write words without blanks between them: each character counts as a word.
const ALONE = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}]/u;
const INSIDE = /[\p{L}\p{M}\p{N}]/u;

const kinds = new Uint8Array(0x10000); // of UTF-16 units, as they are met

function kindOf(character: string): number {
  return ALONE.test(character) ? KIND.alone : INSIDE.test(character) ? KIND.inside : KIND.apart;
}

// Two independent hashes of a word: one alone would take different words for the same too often.
const BASIS = [0x811c9dc5, 0x3c6ef372] as const;
const PRIME = [0x01000193, 0x5bd1e995] as const;
// A sequence's hash is a polynomial of its words' hashes at these places.
const POINT = [0x9e3779b5, 0x85ebca6d] as const;

/**
 * The words of a text as hashes: runs of letters, marks and digits, in lower case and compatibility forms (NFKC). What is
 * between them does not count. Any sequence of them has a key that is the same for the same words, whatever the text.
 */
export class Words {
  count = 0;
  private readonly sums: [Int32Array, Int32Array] = [new Int32Array(256), new Int32Array(256)]; // [count + 1]
  private static powers: [Int32Array, Int32Array] = [Int32Array.of(1), Int32Array.of(1)];

  /** Reads a text in place of the one before. */
  read(text: string): this {
    const plain = text.normalize("NFKC").toLowerCase();
    this.count = 0;
    let [a, b, isInside] = [BASIS[0] as number, BASIS[1] as number, false];
    for (let i = 0; i < plain.length; i++) {
      let code = plain.charCodeAt(i);
      let kind = kinds[code]!;
      if (kind === KIND.unknown) {
        if (code >= 0xd800 && code < 0xdc00) {
          code = plain.codePointAt(i)!;
          if (code > 0xffff) i++;
          kind = kindOf(String.fromCodePoint(code));
        } else {
          kind = kindOf(String.fromCharCode(code));
          kinds[code] = kind;
        }
      }
      if (kind !== KIND.inside && isInside) {
        this.push(a, b);
        [a, b, isInside] = [BASIS[0], BASIS[1], false];
      }
      if (kind === KIND.apart) continue;
      a = Math.imul(a ^ code, PRIME[0]);
      b = Math.imul(b + code, PRIME[1]);
      isInside = true;
      if (kind === KIND.alone) {
        this.push(a, b);
        [a, b, isInside] = [BASIS[0], BASIS[1], false];
      }
    }
    if (isInside) this.push(a, b);
    return this;
  }

  private push(a: number, b: number): void {
    const { sums, count } = this;
    if (count + 1 >= sums[0].length) {
      for (const each of [0, 1] as const) {
        const longer = new Int32Array(2 * sums[each].length);
        longer.set(sums[each]);
        sums[each] = longer;
      }
    }
    sums[0][count + 1] = Math.imul(sums[0][count]!, POINT[0]) + mix(a);
    sums[1][count + 1] = Math.imul(sums[1][count]!, POINT[1]) + mix(b);
    this.count = count + 1;
  }

  /** 32 bits of `length` words from `begin` on. */
  hash(begin: number, length: number): number {
    return mix(this.sequence(0, begin, length));
  }

  /** 53 bits of them: two different sequences have the same key by chance once in 9e15 pairs. */
  key(begin: number, length: number): number {
    return (this.hash(begin, length) >>> 0) * 2 ** 21 + (mix(this.sequence(1, begin, length)) >>> 11);
  }

  private sequence(which: 0 | 1, begin: number, length: number): number {
    const powers = Words.powersTo(length)[which];
    const sums = this.sums[which];
    return (sums[begin + length]! - Math.imul(sums[begin]!, powers[length]!)) | 0;
  }

  private static powersTo(length: number): readonly [Int32Array, Int32Array] {
    if (length >= Words.powers[0].length) {
      const longer = [0, 1].map((which) => {
        const powers = new Int32Array(2 * length).fill(1);
        for (let i = 1; i < powers.length; i++) powers[i] = Math.imul(powers[i - 1]!, POINT[which]!);
        return powers;
      });
      Words.powers = [longer[0]!, longer[1]!];
    }
    return Words.powers;
  }
}

/** Spreads what is in 32 bits over all of them (the finaliser of MurmurHash3); a signed integer. */
export function mix(bits: number): number {
  let h = bits;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
