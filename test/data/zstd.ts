/** Bytes as a .zst file that packs nothing: one frame of blocks that are stored as they are. */
export function storedZstd(bytes: Uint8Array): Buffer {
  const MOST = 1 << 17; // bytes of a block
  const parts: Uint8Array[] = [Buffer.of(0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38)]; // magic, no flags, a window of 128 KiB
  for (let begin = 0, isLast = false; !isLast; begin += MOST) {
    const block = bytes.subarray(begin, begin + MOST);
    isLast = begin + MOST >= bytes.length;
    const header = (block.length << 3) | (isLast ? 1 : 0);
    parts.push(Buffer.of(header & 0xff, (header >> 8) & 0xff, header >> 16), block);
  }
  return Buffer.concat(parts);
}
