import { once } from "node:events";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";

import { open, received, request } from "./raw_client.js";
import { chat, MODEL, start } from "./start.js";

const CHAT = "/v1/chat/completions";

/** Writes so many bytes of a body as fast as they are taken; the number that was. */
async function pour(socket: Socket, bytes: number, frame: (chunk: Buffer) => Buffer): Promise<number> {
  const chunk = frame(Buffer.alloc(64 * 2 ** 10, 0x20));
  for (let sent = 0; sent < bytes; sent += chunk.length) {
    if (socket.destroyed) return sent;
    await new Promise<void>((resolve) => void socket.write(chunk, () => resolve()));
  }
  return bytes;
}

const LARGE = 100 * 2 ** 20;
const head = (header: string): string =>
  `POST ${CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${header}\r\n\r\n`;

test.each([
  ["whose length is told", `Content-Length: ${LARGE}`, (chunk: Buffer) => chunk],
  [
    "in pieces",
    "Transfer-Encoding: chunked",
    (chunk: Buffer) => Buffer.concat([Buffer.from("10000\r\n"), chunk, Buffer.from("\r\n")]),
  ],
])("a body of 100 MB %s is refused, and not kept", async (_, header, frame) => {
  const { url, post, engine } = await start();
  const before = process.memoryUsage();
  const socket = await open(url);
  const answer = received(socket);
  let most = 0;
  const watch = setInterval(() => {
    const { arrayBuffers, heapUsed } = process.memoryUsage();
    most = Math.max(most, arrayBuffers + heapUsed - before.arrayBuffers - before.heapUsed);
  }, 2);
  socket.write(head(header));
  const sent = await pour(socket, LARGE, frame);
  const text = await answer;
  clearInterval(watch);
  expect(text).toMatch(/^HTTP\/1\.1 413 /);
  expect(JSON.parse(text.split("\r\n\r\n")[1]!.match(/\{.*\}/)![0]).error.message).toMatch(
    /more than the 4194304 bytes/,
  );
  expect(sent).toBeLessThan(LARGE); // the connection was cut before
  expect(most).toBeLessThan(48 * 2 ** 20);
  expect([(await post(CHAT, { messages: chat("x"), max_tokens: 1 })).status, engine.started]).toEqual([200, 1]);
});

test("a client that asks whether to send a body is told no", async () => {
  const { url } = await start();
  const socket = await open(url);
  socket.write(head(`Content-Length: ${LARGE}\r\nExpect: 100-continue`));
  const [data] = await once(socket, "data");
  expect(String(data)).toMatch(/^HTTP\/1\.1 413 /);
  socket.destroy();
  const other = await open(url);
  const body = JSON.stringify({ messages: chat("x"), max_tokens: 1 });
  other.write(head(`Content-Length: ${body.length}\r\nExpect: 100-continue`));
  expect(String((await once(other, "data"))[0])).toBe("HTTP/1.1 100 Continue\r\n\r\n");
  other.write(body);
  expect(String((await once(other, "data"))[0])).toMatch(/^HTTP\/1\.1 200 OK/);
  other.destroy();
});

test("a limit of bytes holds to the byte", async () => {
  const body = { messages: chat("x"), max_tokens: 1 };
  const { post } = await start({ maxBodyBytes: JSON.stringify(body).length });
  expect((await post(CHAT, body)).status).toBe(200);
  expect((await post(CHAT, `${JSON.stringify(body)} `)).status).toBe(413);
});

test("headers without end: 431; what is no HTTP: 400; both with an error object", async () => {
  const { url } = await start();
  const socket = await open(url);
  const answer = received(socket);
  socket.write("GET /health HTTP/1.1\r\nHost: localhost\r\n");
  for (let i = 0; i < 1000 && !socket.destroyed; i++) socket.write(`X-${i}: ${"y".repeat(100)}\r\n`);
  expect(await answer).toMatch(/^HTTP\/1\.1 431 [\s\S]*\{"error":\{"message":"The request cannot be read/);
  const other = await open(url);
  const refusal = received(other);
  other.write("hello\r\n\r\n");
  expect(await refusal).toMatch(/^HTTP\/1\.1 400 [\s\S]*\{"error":/);
  const third = await open(url);
  third.write("GET /v1/models HTTP/1.1\r\nHost: a b\r\n\r\n");
  expect(String((await once(third, "data"))[0])).toMatch(/^HTTP\/1\.1 400 [\s\S]*Host header is malformed/);
  third.destroy();
});

test("headers and bodies that do not arrive in time: 408", async () => {
  const { url, engine } = await start({ headerSeconds: 0.2, bodySeconds: 0.5 });
  const late = async (text: string): Promise<string> => {
    const socket = await open(url);
    socket.write(text);
    return received(socket);
  };
  const [headers, body] = await Promise.all([
    late("GET /health HTTP/1.1\r\nHo"),
    late(`${head("Content-Length: 50")}{`),
  ]);
  expect([headers, body].map((text) => text.slice(0, 12))).toEqual(["HTTP/1.1 408", "HTTP/1.1 408"]);
  expect(engine.started).toBe(0);
});

test("more requests than may run or wait are refused, and others are let in when those are over", async () => {
  const { post, engine } = await start({ maxRequests: 4, fake: { milliseconds: 20 } });
  const body = { messages: chat("x"), max_tokens: 5 };
  const statuses = await Promise.all(Array.from({ length: 10 }, async () => (await post(CHAT, body)).status));
  expect(statuses.filter((status) => status === 200).length).toBe(4);
  expect(statuses.filter((status) => status === 429).length).toBe(6);
  expect(engine.started).toBe(4);
  expect((await post(CHAT, body)).status).toBe(200);
});

test("tokens of a request may be fewer than the model's", async () => {
  const { client } = await start({ maxTokens: 100 });
  const asked = client.chat.completions.create({ model: MODEL, messages: chat("x"), max_tokens: 100 });
  await expect(asked).rejects.toMatchObject({ status: 400, code: "context_length_exceeded" });
});

test("10,000 connections come and go; more at a time than may be are closed", async () => {
  const { url, server } = await start({ maxConnections: 50 });
  const held = await Promise.all(Array.from({ length: 50 }, () => open(url)));
  const further = await open(url);
  further.resume();
  await once(further, "close");
  for (const socket of held) socket.destroy();
  await sleep(20);
  let opened = 0;
  const worker = async (number: number): Promise<void> => {
    while (opened < 10_000) {
      opened++;
      const socket = await open(url);
      if (opened % 3 === number % 3) socket.write(request(CHAT, {}).slice(0, 30));
      socket.destroy();
    }
  };
  await Promise.all(Array.from({ length: 40 }, (_, number) => worker(number)));
  expect((await fetch(`${url}/health`)).status).toBe(200);
  await server.close(0);
});
