import { createHash } from "node:crypto";
import type { TextKey } from "./exact_duplicates.js";

/** What a text's SHA-256 says: its key among others, and a number from 0 to below 1 that is as good as random. */
export interface TextHash {
  readonly key: TextKey;
  readonly share: number;
}

export function hashText(text: string): TextHash {
  const digest = createHash("sha256").update(text).digest();
  return {
    key: [digest.readUInt32LE(0), digest.readUInt32LE(4)],
    share: digest.readUIntLE(8, 6) / 2 ** 48,
  };
}
