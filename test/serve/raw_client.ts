import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** A connection without a client library, for what such a library would not do. */
export async function open(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on("error", () => undefined); // being cut off is what some tests are about
  await once(socket, "connect");
  return socket;
}

/** The bytes of a request. */
export function request(path: string, body: unknown, headers: Record<string, string> = {}): string {
  const text = JSON.stringify(body);
  const all = {
    Host: "127.0.0.1",
    "Content-Type": "application/json",
    "Content-Length": String(Buffer.byteLength(text)),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST ${path} HTTP/1.1\r\n${lines.join("")}\r\n${text}`;
}

/** All that is received until the other side ends the connection. */
export async function received(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk));
  if (!socket.closed) await new Promise((resolve) => void socket.once("close", resolve));
  return Buffer.concat(chunks).toString();
}
