import { expect, test, vi } from "vitest";

import { ConfigError } from "../../lib/base/errors.js";
import { isLoopback, type ServeOptions, toSettings } from "../../lib/serve/options.js";
import { FakeEngine } from "./fake_engine.js";
import { open, received } from "./raw_client.js";
import { chat, errorOf, start, tokenizer } from "./start.js";

const engine = new FakeEngine(tokenizer);
const settings = (options: Partial<ServeOptions>) => toSettings({ name: "little", ...options }, engine);

test("this machine's own addresses are told from others", () => {
  for (const host of ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LocalHost", "::ffff:127.0.0.1"])
    expect([host, isLoopback(host)]).toEqual([host, true]);
  for (const host of [
    "0.0.0.0",
    "::",
    "10.0.0.1",
    "128.0.0.1",
    "example.com",
    "127.0.0.1.example.com",
    "",
    "::ffff:10.0.0.1",
  ])
    expect([host, isLoopback(host)]).toEqual([host, false]);
});

test("127.0.0.1 unless told otherwise; other machines only with a key", async () => {
  expect(settings({})).toMatchObject({ host: "127.0.0.1", port: 8000 });
  expect(() => settings({ host: "0.0.0.0" })).toThrow(/^host: 0\.0\.0\.0 can be reached .* needs an API key$/);
  expect(settings({ host: "0.0.0.0", apiKey: "a-long-secret" }).host).toBe("0.0.0.0");
  const { url } = await start();
  expect(new URL(url).hostname).toBe("127.0.0.1");
});

test.each([
  [{ port: 70_000 }, /^port: 70000, expected/],
  [{ apiKey: "" }, /^apiKey: expected at least 8 printable/],
  [{ apiKey: "a long secret" }, /^apiKey: expected/],
  [{ name: "" }, /^name: an empty text/],
  [{ allowOrigin: "*" }, /^allowOrigin: \*, expected an origin/],
  [{ allowOrigin: "https://example.com/" }, /^allowOrigin/],
  [{ maxBodyBytes: 0 }, /^maxBodyBytes: 0, expected a positive integer/],
  [{ maxRequests: 1.5 }, /^maxRequests: 1.5/],
  [{ requestSeconds: 0 }, /^requestSeconds: 0, expected seconds above 0/],
  [{ stallSeconds: Number.NaN }, /^stallSeconds: NaN/],
  [{ maxTokens: 1000 }, /^maxTokens: 1000, expected at most the engine's 512/],
])("options that cannot be: %j", (options, message) => {
  expect(() => settings(options)).toThrow(ConfigError);
  expect(() => settings(options)).toThrow(message);
});

test("an address that is taken is a ConfigError", async () => {
  const { url } = await start();
  await expect(start({ port: Number(new URL(url).port) })).rejects.toThrow(
    /^port: 127\.0\.0\.1:\d+ cannot be listened on: .*EADDRINUSE/,
  );
});

test("/health says when the model has failed", async () => {
  const { url, engine } = await start();
  expect((await fetch(`${url}/health`)).status).toBe(200);
  engine.hasFailed = true;
  expect((await fetch(`${url}/health`)).status).toBe(503);
});

test("everything but /health is behind the key", async () => {
  const apiKey = "a-long-secret";
  const { url, engine } = await start({ apiKey });
  const statusOf = async (path: string, authorization?: string, method = "GET") =>
    (await fetch(url + path, { method, headers: authorization === undefined ? {} : { authorization } })).status;
  const paths = ["/metrics", "/v1/models", "/v1/models/little", "/nowhere"];
  for (const path of paths) expect([path, await statusOf(path)]).toEqual([path, 401]);
  expect(await statusOf("/v1/chat/completions", undefined, "POST")).toBe(401);
  expect(await statusOf("/health")).toBe(200);
  const wrong = [
    "",
    apiKey,
    "Bearer",
    "Bearer ",
    `Basic ${apiKey}`,
    `Bearer ${apiKey}x`,
    `Bearer ${apiKey.slice(1)}`,
    "Bearer x",
  ];
  for (const header of wrong) expect([header, await statusOf("/v1/models", header)]).toEqual([header, 401]);
  for (const header of [`Bearer ${apiKey}`, `bearer  ${apiKey}`])
    expect(await statusOf("/v1/models", header)).toBe(200);
  const refused = await fetch(`${url}/v1/models`);
  expect(refused.headers.get("www-authenticate")).toBe("Bearer");
  expect(await errorOf(refused)).toMatchObject({ type: "invalid_request_error", code: "invalid_api_key" });
  expect(engine.started).toBe(0);
});

test("without a key a server answers to this machine's own names only", async () => {
  const statusOf = async (url: string, host: string): Promise<number> => {
    const socket = await open(url);
    const text = received(socket);
    socket.write(
      `GET /v1/models HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\nAuthorization: Bearer a-long-secret\r\n\r\n`,
    );
    return Number((await text).split(" ")[1]);
  };
  const { url } = await start();
  for (const host of ["localhost:8000", "127.0.0.1", "[::1]:8000"])
    expect([host, await statusOf(url, host)]).toEqual([host, 200]);
  for (const host of ["pages.example", "10.0.0.1:8000"]) expect([host, await statusOf(url, host)]).toEqual([host, 403]);
  const keyed = await start({ apiKey: "a-long-secret" });
  expect(await statusOf(keyed.url, "pages.example")).toBe(200);
});

test("the key is compared by digests of equal length, in constant time", async () => {
  const compare = vi.fn();
  vi.doMock("node:crypto", async (original) => {
    const crypto = await original<typeof import("node:crypto")>();
    const timingSafeEqual = (a: Buffer, b: Buffer) => {
      compare(a.length, b.length);
      return crypto.timingSafeEqual(a, b);
    };
    return { ...crypto, timingSafeEqual };
  });
  vi.resetModules();
  const { keyCheck } = await import("../../lib/serve/authorize.js");
  vi.doUnmock("node:crypto");
  const isRight = keyCheck("a-long-secret");
  expect(["Bearer a-long-secret", "Bearer x", `Bearer ${"a".repeat(5000)}`].map(isRight)).toEqual([true, false, false]);
  expect(compare.mock.calls).toEqual([
    [32, 32],
    [32, 32],
    [32, 32],
  ]);
});

test("pages of other origins are let in only where one is named, and only that one", async () => {
  const origin = "https://pages.example";
  const preflight = (url: string, from: string) =>
    fetch(`${url}/v1/chat/completions`, {
      method: "OPTIONS",
      headers: {
        Origin: from,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
      },
    });
  const allowed = (response: Response) => response.headers.get("access-control-allow-origin");
  const closed = await start();
  expect(allowed(await preflight(closed.url, origin))).toBeNull();
  const { url, post } = await start({ allowOrigin: origin, apiKey: "a-long-secret" });
  const answer = await preflight(url, origin);
  expect([answer.status, allowed(answer), answer.headers.get("access-control-allow-headers")]).toEqual([
    204,
    origin,
    "Authorization,Content-Type",
  ]);
  expect(allowed(await preflight(url, "https://other.example"))).toBeNull();
  const authorization = "Bearer a-long-secret";
  const asked = await post(
    "/v1/chat/completions",
    { messages: chat("x"), max_tokens: 1 },
    { Origin: origin, authorization },
  );
  expect([asked.status, allowed(asked)]).toEqual([200, origin]);
  const refused = await post("/v1/chat/completions", {}, { Origin: origin });
  expect([refused.status, allowed(refused)]).toEqual([401, origin]); // so that the page can read why
});
