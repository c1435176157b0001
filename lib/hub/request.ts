import { setTimeout as sleep } from "node:timers/promises";
import { AbortedError, HubError, WestwindError } from "../base/errors.js";
import type { HubContext } from "./context.js";
import { refusalOf, waitOf } from "./refusal.js";

/** A failure that another try may not meet. */
export class Passing extends Error {
  constructor(
    readonly error: HubError,
    readonly waitMs?: number,
  ) {
    super(error.message);
  }
}

const RETRIES = 5;
const LONGEST_WAIT_MS = 5 * 60_000;

/**
 * Works until it is done, again after failures that may pass, each time after a longer wait. `progressed` is called where
 * something was achieved, after which as many tries are free again. Throws HubError, or AbortedError.
 */
export async function persist<T>(context: HubContext, work: (progressed: () => void) => Promise<T>): Promise<T> {
  let failures = 0;
  for (;;) {
    try {
      return await work(() => {
        failures = 0;
      });
    } catch (error) {
      if (!(error instanceof Passing)) throw error;
      const waitMs = error.waitMs ?? context.settings.retryMs * 2 ** failures;
      if (++failures > RETRIES || waitMs > LONGEST_WAIT_MS) throw afterAll(error, waitMs, failures);
      context.tell({ kind: "waiting", name: context.repo.name, seconds: waitMs / 1000, because: error.error.fact });
      await pause(context, waitMs);
    }
  }
}

function afterAll({ error, waitMs: wanted }: Passing, waitMs: number, tries: number): HubError {
  const when = wanted === undefined ? `, also at try ${tries}` : `; try again in ${Math.ceil(waitMs / 1000)} s`;
  return new HubError(error.repo, error.failure, `${error.fact}${when}`, { cause: error });
}

/** Waits. Throws AbortedError when the signal is raised. */
export async function pause(context: HubContext, ms: number): Promise<void> {
  await sleep(ms, undefined, context.signal && { signal: context.signal }).catch(() => {
    throw stopped(context);
  });
}

export const stopped = ({ repo }: HubContext): AbortedError =>
  new AbortedError(0, `stopped while downloading ${repo.name}; what is there is gone on with the next time`);

/**
 * Sends one request and reads its answer; `alive` says that something came. Throws HubError for what the hub refuses,
 * Passing for what may pass, AbortedError with the signal.
 */
export async function ask<T>(
  context: HubContext,
  url: string,
  headers: Readonly<Record<string, string>>,
  read: (response: Response, alive: () => void) => Promise<T>,
): Promise<T> {
  const { settings, signal } = context;
  using stall = new Stall(settings.stallMs);
  try {
    const response = await fetch(url, {
      headers: { ...headers, ...credentials(context, url), "user-agent": "westwind", "accept-encoding": "identity" },
      signal: signal === undefined ? stall.signal : AbortSignal.any([signal, stall.signal]),
    });
    context.contact.isMade = true;
    if (response.ok) return await read(response, () => stall.postpone());
    const error = refusalOf(context, response);
    await response.body?.cancel();
    throw error.failure === "server" || error.failure === "rate-limited" ? new Passing(error, waitOf(response)) : error;
  } catch (error) {
    if (signal?.aborted) throw stopped(context);
    if (error instanceof WestwindError || error instanceof Passing) throw error;
    throw lost(context, url, error, stall.signal.aborted);
  }
}

/** The token, for the hub alone and not for where its answers lead. */
function credentials({ settings }: HubContext, url: string): Record<string, string> {
  const { token, endpoint } = settings;
  if (token === undefined || new URL(url).origin !== new URL(endpoint).origin) return {};
  return { authorization: `Bearer ${token.value}` };
}

/** What became of a connection. fetch tells it as a TypeError with a cause. */
function lost(context: HubContext, url: string, error: unknown, isStalled: boolean): unknown {
  const { repo, settings } = context;
  const { origin } = new URL(url);
  if (isStalled) {
    const fact = `${origin} sends nothing for ${settings.stallMs / 1000} s`;
    return new Passing(new HubError(repo.name, "unreachable", fact, { cause: error }));
  }
  if (!(error instanceof TypeError) || error.cause === undefined) return error;
  const { code, message } = error.cause as NodeJS.ErrnoException;
  const what = message || code;
  if (context.contact.isMade || /^(?:ECONNRESET|EPIPE|UND_ERR_SOCKET)$/.test(code ?? "")) {
    return new Passing(new HubError(repo.name, "unreachable", `${origin} was lost: ${what}`, { cause: error }));
  }
  return new HubError(repo.name, "unreachable", `${origin} cannot be reached: ${what}`, { cause: error });
}

/** Raised when a connection gives no sign of life for so long. */
class Stall {
  private readonly controller = new AbortController();
  private readonly timer: NodeJS.Timeout;

  constructor(ms: number) {
    this.timer = setTimeout(() => this.controller.abort(), ms);
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  postpone(): void {
    this.timer.refresh();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.timer);
  }
}
