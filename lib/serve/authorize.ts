import { createHash, timingSafeEqual } from "node:crypto";

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/**
 * Tells whether an Authorization header carries the key. Digests are compared, in a time that depends neither on where the
 * two differ nor on how long they are.
 */
export function keyCheck(key: string): (header: string | undefined) => boolean {
  const expected = digest(key);
  return (header) => {
    const token = /^bearer +(\S+) *$/i.exec(header ?? "")?.[1];
    return token !== undefined && timingSafeEqual(digest(token), expected);
  };
}
