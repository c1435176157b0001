import { expect, test } from "vitest";

import type { ServedRequest } from "../../lib/serve/options.js";
import { chat, start } from "./start.js";

test("metrics count requests by route and status, tokens, times and the engine's state", async () => {
  const served: ServedRequest[] = [];
  const { url, post } = await start({ onRequest: (one) => served.push(one), fake: { milliseconds: 2 } });
  const ask = { messages: chat("Good morning!"), max_tokens: 5 };
  await (await post("/v1/chat/completions", ask)).text();
  await (await post("/v1/chat/completions", { ...ask, n: 2, stream: true })).text();
  await (await post("/v1/completions", {})).text();
  for (const path of ["/secret/path?key=1", "/v1/models/a", "/v1/models/b"]) await (await fetch(url + path)).text();

  await (await fetch(`${url}/metrics`)).text(); // which changes nothing
  const response = await fetch(`${url}/metrics`);
  expect(response.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
  const text = await response.text();
  const value = (name: string): number =>
    Number(new RegExp(`^${name.replace(/[{}"]/g, "\\$&")} (\\S+)$`, "m").exec(text)?.[1]);
  const count = (route: string, status: number) =>
    value(`westwind_requests_total{route="${route}",status="${status}"}`);
  expect([count("/v1/chat/completions", 200), count("/v1/completions", 400), count("other", 404)]).toEqual([2, 1, 1]);
  expect(count("/v1/models/:id", 404)).toBe(2);
  expect(text).not.toMatch(/secret/);
  const prompt = value("westwind_prompt_tokens_total") / 2;
  expect(prompt).toBe(served[0]!.promptTokens);
  expect(value("westwind_cached_tokens_total")).toBe(2 * (prompt >> 1));
  expect(value("westwind_generated_tokens_total")).toBe(15);
  expect(value("westwind_time_to_first_token_seconds_count")).toBe(2);
  expect(value("westwind_time_per_output_token_seconds_count")).toBe(12);
  expect(value("westwind_time_per_output_token_seconds_sum")).toBeGreaterThan(0);
  expect(value('westwind_request_duration_seconds_count{route="/v1/chat/completions"}')).toBe(2);
  const gauges = ["running", "waiting", "cache_pages", "cache_pages_used", "preemptions_total"];
  expect(gauges.map((name) => value(`westwind_${name}`))).toEqual([0, 0, 64, 0, 5]);
  expect(served.slice(0, 4).map(({ path, status, completionTokens }) => [path, status, completionTokens])).toEqual([
    ["/v1/chat/completions", 200, 5],
    ["/v1/chat/completions", 200, 10],
    ["/v1/completions", 400, 0],
    ["/secret/path", 404, 0],
  ]);
});
