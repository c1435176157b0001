import OpenAI from "openai";
import { afterEach, expect, vi } from "vitest";

import type { ErrorBody } from "../../lib/serve/api_error.js";
import type { ServeOptions } from "../../lib/serve/options.js";
import { type ModelServer, serve } from "../../lib/serve/serve.js";
import { resolveChatTemplate } from "../../lib/text/chat_template.js";
import { Tokenizer } from "../../lib/text/tokenizer.js";
import { FakeEngine, type FakeOptions } from "./fake_engine.js";

export const tokenizer = await Tokenizer.load("assets/quickstart");
export const template = resolveChatTemplate("zephyr", tokenizer);
export const MODEL = "little";

const open: ModelServer[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) await server[Symbol.asyncDispose]();
});

/** A listening server over a fake engine, closed after the test, and OpenAI's client for it. */
export async function start({ fake, ...options }: Partial<ServeOptions> & { readonly fake?: FakeOptions } = {}) {
  const engine = new FakeEngine(tokenizer, fake);
  const defects: unknown[] = [];
  const onDefect = (error: unknown): void => void defects.push(error);
  const server = await serve({ engine, tokenizer, template }, { name: MODEL, port: 0, onDefect, ...options });
  open.push(server);
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: options.apiKey ?? "none", maxRetries: 0 });
  const post = (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${server.url}${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...headers },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
  return { server, engine, client, post, defects, url: server.url };
}

export const errorOf = async (response: Response): Promise<ErrorBody["error"]> =>
  ((await response.json()) as ErrorBody).error;

export const chat = (content: string) => [{ role: "user" as const, content }];

/** Waits until no request runs. */
export const idle = (engine: FakeEngine): Promise<void> =>
  vi.waitFor(() => expect(engine.running).toBe(0), { timeout: 5000, interval: 2 });
