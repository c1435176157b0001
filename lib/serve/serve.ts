import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { ConfigError } from "../base/errors.js";
import { Admission } from "./admission.js";
import { type ServedModel, type ServeOptions, toSettings } from "./options.js";

/** Time for the answers of requests that were ended to be sent. */
const FAREWELL_MS = 1000;

/** A server that listens. */
export interface ModelServer extends AsyncDisposable {
  /** `http://127.0.0.1:8000` */
  readonly url: string;
  /**
   * Accepts nothing from now on, lets running requests finish for so many seconds, and ends what is left. Resolves when no
   * connection is open.
   */
  close(graceSeconds?: number): Promise<void>;
}

/**
 * Serves a model over HTTP as OpenAI's API does: chat completions, completions, models, beside /health and /metrics.
 * Resolves when it listens. Throws ConfigError for options that cannot be, and for an address that cannot be bound.
 * The engine stays the caller's.
 */
export async function serve(model: ServedModel, options: ServeOptions): Promise<ModelServer> {
  const settings = toSettings(options, model.engine);
  // Loaded here, so that a program that does not serve loads no HTTP framework.
  const [{ createApp }, { createHttpServer }, { Metrics }] = await Promise.all([
    import("./app.js"),
    import("./http_server.js"),
    import("./metrics.js"),
  ]);
  const admission = new Admission(settings);
  const server = createHttpServer(createApp(model, settings, admission, new Metrics(model.engine)), settings);
  server.listen({ host: settings.host, port: settings.port });
  await once(server, "listening").catch((error) => {
    throw new ConfigError("port", `${settings.host}:${settings.port} cannot be listened on: ${error.message}`);
  });
  const { address, family, port } = server.address() as AddressInfo;

  const close = async (graceSeconds: number): Promise<void> => {
    const over = admission.close();
    const closed = once(server, "close");
    server.close();
    server.closeIdleConnections();
    await within(over, graceSeconds * 1000);
    admission.abortAll();
    await within(over, FAREWELL_MS);
    server.closeAllConnections();
    await closed;
  };
  let closing: Promise<void> | undefined;
  const closeOnce = (graceSeconds = 30): Promise<void> => {
    closing ??= close(graceSeconds);
    return closing;
  };
  return {
    url: `http://${family === "IPv6" ? `[${address}]` : address}:${port}`,
    close: closeOnce,
    [Symbol.asyncDispose]: () => closeOnce(0),
  };
}

async function within(promise: Promise<void>, milliseconds: number): Promise<void> {
  const controller = new AbortController();
  const timeout = sleep(milliseconds, undefined, { signal: controller.signal }).catch(() => undefined);
  await Promise.race([promise, timeout]);
  controller.abort();
}
