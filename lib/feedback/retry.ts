export interface RetryOptions {
  /** Most tries, the first counted. Default 6. */
  readonly tries?: number | undefined;
  /** Milliseconds before the second try at most; twice as many before each further one. Default 1000. */
  readonly firstWait?: number | undefined;
  /** Most milliseconds between two tries, whatever the endpoint asks for. Default 60,000. */
  readonly mostWait?: number | undefined;
}

export const RETRY_DEFAULTS = { tries: 6, firstWait: 1000, mostWait: 60_000 };

/**
 * Milliseconds to wait after the `failed`th try, drawn evenly between 0 and a limit that doubles (full jitter), so that
 * those who failed together do not come again together. What the endpoint asks for (`retryAfter`) comes first.
 */
export function backoff(
  failed: number,
  retryAfter: number | undefined,
  { firstWait, mostWait }: { readonly firstWait: number; readonly mostWait: number },
  random: () => number = Math.random,
): number {
  const limit = Math.min(mostWait, firstWait * 2 ** (failed - 1));
  return Math.min(mostWait, (retryAfter ?? 0) + random() * limit);
}

/** Milliseconds that a reply asks to wait: `retry-after-ms`, or `retry-after` in seconds or as an HTTP date. */
export function readRetryAfter(headers: Headers, now: () => number): number | undefined {
  const [exact, header] = [headers.get("retry-after-ms"), headers.get("retry-after")];
  if (exact !== null && isNumber(exact)) return Math.max(0, Number(exact));
  if (header === null) return undefined;
  const milliseconds = isNumber(header) ? Number(header) * 1000 : Date.parse(header) - now();
  return Number.isNaN(milliseconds) ? undefined : Math.max(0, milliseconds);
}

const isNumber = (text: string): boolean => text.trim() !== "" && Number.isFinite(Number(text));
