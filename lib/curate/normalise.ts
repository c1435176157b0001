/** A text as exact duplicates are told by: compatibility forms (NFKC), lower case, and one blank for any white space. */
export function normalise(text: string): string {
  return text.normalize("NFKC").toLowerCase().replace(/\s+/g, " ").trim();
}
