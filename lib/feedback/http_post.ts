import { LONGEST_TIMER } from "./clock.js";

export interface PostOptions {
  readonly headers: Readonly<Record<string, string>>;
  /** Milliseconds until the whole reply must be there. */
  readonly timeout: number;
  /** Most bytes of a reply. */
  readonly maxBytes: number;
  /** Ends it with a PostFailure. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds in which the reply may still come after that. */
  readonly grace: number;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** No reply came, or not the whole. */
export class PostFailure extends Error {
  constructor(
    message: string,
    /** Whether the request may have arrived. */
    readonly hasArrived: boolean,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Sends JSON and takes the reply, whatever its status. Throws PostFailure. */
export async function post(url: URL, body: object, options: PostOptions): Promise<Reply> {
  const { headers, timeout, maxBytes, signal, grace } = options;
  if (signal?.aborted) throw new PostFailure("stopped", false);
  const controller = new AbortController();
  const timers = [setTimeout(() => controller.abort(new PostFailure(`no answer in ${timeout} ms`, true)), timeout)];
  const stop = (): void => controller.abort(new PostFailure("stopped", true));
  const onAbort = (): void => void timers.push(setTimeout(stop, Math.min(grace, LONGEST_TIMER)));
  signal?.addEventListener("abort", onAbort, { once: true });
  let response: Response | undefined;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: { ...headers, "content-type": "application/json" },
      body: JSON.stringify(body),
      redirect: "manual", // a POST would arrive as a GET
      signal: controller.signal,
    });
    return { status: response.status, headers: response.headers, text: await readText(response, maxBytes) };
  } catch (error) {
    if (controller.signal.aborted) throw controller.signal.reason;
    throw error instanceof PostFailure ? error : toFailure(error as Error, response !== undefined);
  } finally {
    for (const timer of timers) clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

async function readText({ body }: Response, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > maxBytes) throw new PostFailure(`an answer of more than ${maxBytes} bytes`, true); // leaving ends the stream
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** Of a connection that was not made, or not made safe. */
const NO_CONNECTION =
  /^(?:UND_ERR_CONNECT_TIMEOUT|EPROTO|ERR_(?:TLS|SSL)_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH)/;

/** fetch says "fetch failed" or "terminated"; its cause says why. What it refuses to send has no code. */
function toFailure(error: Error, hasReplied: boolean): PostFailure {
  const cause = (error.cause ?? error) as NodeJS.ErrnoException & { errors?: readonly NodeJS.ErrnoException[] };
  const { code, message, syscall } = cause.errors?.[0] ?? cause; // several addresses were tried
  const isLocal =
    code === undefined || syscall === "connect" || syscall === "getaddrinfo" || NO_CONNECTION.test(String(code));
  return new PostFailure(`no answer: ${message || code}`, hasReplied || !isLocal, { cause: error });
}
