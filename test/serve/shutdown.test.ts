import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import OpenAI from "openai";
import { afterAll, describe, expect, test, vi } from "vitest";

import { refresh } from "../cli/command.js";
import { temporaryFolder } from "../run/collect.js";
import { open, received } from "./raw_client.js";
import { chat, errorOf, start } from "./start.js";

const folder = temporaryFolder();
const CHAT = "/v1/chat/completions";
const running: ChildProcess[] = [];
afterAll(() => {
  for (const child of running.splice(0)) child.kill("SIGKILL");
});

/** Starts the command line over the fake engine; resolves when it listens. */
async function spawnServer(milliseconds: number, flags: readonly string[] = [], env: NodeJS.ProcessEnv = {}) {
  refresh();
  const program = ["--import", "./bench/register.mjs", "test/serve/fake_server.ts", String(milliseconds)];
  const args = [...program, "serve", "--model", "assets/quickstart", "--port", "0", ...flags];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
  running.push(child);
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (data) => (stdout += data));
  child.stderr.on("data", (data) => (stderr += data));
  const exit = once(child, "exit").then(([code]) => code as number | null);
  await vi.waitFor(() => expect(stderr).toMatch(/ at http/), { timeout: 30_000 });
  const baseURL = / at (\S+)\n/.exec(stderr)![1]!;
  const client = new OpenAI({ baseURL, apiKey: env.WESTWIND_API_KEY ?? "none", maxRetries: 0 });
  return { child, exit, client, baseURL, texts: () => ({ stdout, stderr }) };
}

const ask = (tokens: number) => ({
  model: "quickstart",
  messages: chat("Hello"),
  max_tokens: tokens,
  stream: true as const,
});

async function readAll(stream: AsyncIterable<OpenAI.ChatCompletionChunk>): Promise<(string | null)[]> {
  const reasons: (string | null)[] = [];
  for await (const { choices } of stream) reasons.push(...choices.map(({ finish_reason }) => finish_reason));
  return reasons;
}

describe.concurrent("a process", () => {
  test("after SIGTERM running streams finish, nobody else is let in, and the exit code is 0", async () => {
    const { child, exit, client, baseURL, texts } = await spawnServer(10, ["--log-requests"]);
    const streams = await Promise.all(Array.from({ length: 8 }, () => client.chat.completions.create(ask(60))));
    const read = streams.map(readAll);
    child.kill("SIGTERM");
    await vi.waitFor(() => expect(texts().stderr).toMatch(/stopping/));
    await expect(fetch(`${baseURL}/models`, { headers: { Connection: "close" } })).rejects.toThrow();
    for (const reasons of await Promise.all(read)) {
      expect(reasons.length).toBeGreaterThan(50);
      expect(reasons.at(-1)).toBe("length");
    }
    expect(await exit).toBe(0);
    const { stdout, stderr } = texts();
    expect(stdout).toBe("");
    expect(stderr.match(/^westwind: POST \/v1\/chat\/completions 200 \d+\+60 tokens \d+ ms$/gm)?.length).toBe(8);
    expect(stderr).toMatch(/disposed\n$/);
    expect(stderr).not.toMatch(/Hello/);
  });

  test("what still runs after the grace time is ended, with exit code 0", async () => {
    const { child, exit, client, texts } = await spawnServer(20, ["--grace-seconds", "0.3"]);
    const stream = await client.chat.completions.create(ask(1500));
    const read = readAll(stream).catch((error) => error);
    child.kill("SIGINT");
    expect(await read).toMatchObject({ code: "shutting_down" });
    expect(await exit).toBe(0);
    expect(texts().stderr.trim().split("\n")).toEqual([
      expect.stringMatching(/^westwind: quickstart at http:\/\/127\.0\.0\.1:\d+\/v1$/),
      expect.stringMatching(/^westwind: stopping after/),
      "disposed",
    ]);
  });

  test("a second signal ends the process at once", async () => {
    const { child, exit, client, texts } = await spawnServer(20);
    const stream = await client.chat.completions.create(ask(1500));
    const read = readAll(stream).catch(() => undefined);
    child.kill("SIGTERM");
    await vi.waitFor(() => expect(texts().stderr).toMatch(/stopping/));
    child.kill("SIGTERM");
    expect(await exit).toBe(130);
    await read;
  });

  test("the key comes from a file or the environment, and is in no output", async () => {
    const file = join(folder, "key");
    writeFileSync(file, "a-key-from-a-file\n");
    const { client, child, exit, texts } = await spawnServer(0, ["--api-key-file", file, "--log-requests"], {
      WESTWIND_API_KEY: "a-key-of-the-environment",
    });
    await expect(client.models.list()).rejects.toThrow(OpenAI.AuthenticationError);
    const right = new OpenAI({ baseURL: client.baseURL, apiKey: "a-key-from-a-file" });
    expect((await right.models.list()).data.map(({ id }) => id)).toEqual(["quickstart"]);
    child.kill("SIGTERM");
    expect(await exit).toBe(0);
    expect(texts().stderr).not.toMatch(/a-key/);
    expect(texts().stderr).toMatch(/^westwind: GET \/v1\/models 401 0\+0 tokens/m);
  });
});

test("while a server closes, kept connections are told so and health is 503", async () => {
  const { server, url, post, engine } = await start({ fake: { milliseconds: 20 } });
  const kept = await open(url);
  const text = received(kept);
  const asked = post(CHAT, { messages: chat("x"), max_tokens: 15 });
  await vi.waitFor(() => expect(engine.running).toBe(1), { interval: 2 });
  kept.write("GET /health HTTP/1.1\r\nHost: localhost\r\n"); // not idle: a request has begun
  await sleep(50);
  const closed = server.close(10);
  kept.write("\r\n");
  expect(await text).toMatch(/^HTTP\/1\.1 503 [\s\S]*"code":"shutting_down"/);
  const answer = await asked;
  expect([answer.status, ((await answer.json()) as OpenAI.ChatCompletion).usage!.completion_tokens]).toEqual([200, 15]);
  await closed;
  await expect(fetch(`${url}/health`)).rejects.toThrow();
});

test("closing without grace ends a request with 503", async () => {
  const { server, post, engine } = await start({ fake: { milliseconds: 20 } });
  const asked = post(CHAT, { messages: chat("x") });
  await vi.waitFor(() => expect(engine.running).toBe(1), { interval: 2 });
  await server.close(0);
  const answer = await asked;
  expect([answer.status, (await errorOf(answer)).code]).toEqual([503, "shutting_down"]);
  expect(engine.running).toBe(0);
});
