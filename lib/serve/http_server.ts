import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { getRequestListener } from "@hono/node-server";
import { badRequest } from "./api_error.js";
import type { createApp } from "./app.js";
import type { Settings } from "./options.js";

/** How often connections whose headers or body are late are looked for. */
const CHECK_MS = 1000;

/** Time for a client to finish a body that nobody reads. */
const LINGER_MS = 500;

/** Node's server with limits on what a connection may take: headers, time, and unread answers. */
export function createHttpServer(app: ReturnType<typeof createApp>, settings: Settings): Server {
  const listener = getRequestListener(app.fetch, {
    overrideGlobalObjects: false,
    autoCleanupIncoming: false,
    errorHandler: () =>
      Response.json(badRequest("The request's URL or Host header is malformed.").body, { status: 400 }),
  });
  const server = createServer({
    maxHeaderSize: settings.maxHeaderBytes,
    headersTimeout: settings.headerSeconds * 1000,
    requestTimeout: Math.max(settings.bodySeconds, settings.headerSeconds) * 1000,
    keepAliveTimeout: settings.keepAliveSeconds * 1000,
    connectionsCheckingInterval: CHECK_MS,
  });
  server.maxConnections = settings.maxConnections;
  const busy = new WeakMap<Duplex, ServerResponse>();
  server.on("request", (incoming, outgoing) => {
    const { socket } = incoming;
    busy.set(socket, outgoing);
    outgoing.once("close", () => busy.get(socket) === outgoing && busy.delete(socket));
    incoming.read(0); // Node itself discards a body only where nobody began to read it, and then without an end
    outgoing.once("finish", () => discardRest(incoming, settings.maxBodyBytes));
    void listener(incoming, outgoing);
  });
  // A client that sends Expect is told to go on only with a body that will be read.
  server.on("checkContinue", (incoming, outgoing) => {
    if (Number(incoming.headers["content-length"] ?? 0) <= settings.maxBodyBytes) outgoing.writeContinue();
    server.emit("request", incoming, outgoing);
  });
  // Nothing moved on a connection for this long. That is right while an answer is computed, and wrong while one is unread.
  server.timeout = settings.stallSeconds * 1000;
  server.on("timeout", (socket: Socket) => {
    if (socket.writableLength > 0 || !busy.has(socket)) socket.destroy();
  });
  server.on("clientError", refuse);
  return server;
}

/**
 * Lets a client finish a body that was answered before it was read, so that it reads the answer. One that is much too large
 * or slow is cut off.
 */
function discardRest(incoming: IncomingMessage, maxBytes: number): void {
  if (incoming.complete) return void incoming.resume();
  let bytes = 0;
  const cut = (): void => void incoming.socket.destroy();
  const timer = setTimeout(cut, LINGER_MS);
  incoming.once("close", () => clearTimeout(timer));
  incoming.on("data", (chunk) => {
    bytes += chunk.length;
    if (bytes > maxBytes) cut();
  });
}

const STATUS_OF: Readonly<Record<string, number>> = { HPE_HEADER_OVERFLOW: 431, ERR_HTTP_REQUEST_TIMEOUT: 408 };

/** Answers what Node's parser could not make a request of. */
function refuse(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
  const status = STATUS_OF[error.code ?? ""] ?? 400;
  const body = JSON.stringify(badRequest(`The request cannot be read: ${STATUS_CODES[status]}.`).body);
  const headers = `Connection: close\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}`;
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${headers}\r\n\r\n${body}`);
}
