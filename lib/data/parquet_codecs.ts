import type { Compressors } from "hyparquet";
import { compressors } from "hyparquet-compressors";

/** How pages are unpacked. A page may have no bytes, which not every codec of the library takes. */
export const CODECS: Compressors = Object.fromEntries(
  Object.entries(compressors).map(([codec, unpack]) => [
    codec,
    (packed: Uint8Array, length: number) => (length === 0 ? new Uint8Array(0) : unpack(packed, length)),
  ]),
);
