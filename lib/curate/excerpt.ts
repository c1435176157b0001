const LENGTH = 160;

/** How a text begins, as one line. */
export const excerpt = (text: string): string => excerptAround(text, 0);

/** What is in a text around a place, as one line. */
export function excerptAround(text: string, at: number): string {
  const begin = at < LENGTH / 2 ? 0 : at - LENGTH / 2;
  const cut = text.slice(begin, begin + LENGTH).replace(/^[\uDC00-\uDFFF]|[\uD800-\uDBFF]$/g, ""); // half characters
  const part = cut.replace(/\s+/g, " ").trim();
  return `${begin > 0 ? "..." : ""}${part}${begin + LENGTH < text.length ? "..." : ""}`;
}
