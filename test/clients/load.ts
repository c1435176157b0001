// Streams chats from a server for a while, and tells how it fared:
// node --import ./bench/register.mjs test/clients/load.ts --url=http://127.0.0.1:8000/v1 [--streams=64 --seconds=60 --tokens=64]
// The key is read from WESTWIND_API_KEY. A stream is broken if it has no end, an error, or another number of tokens than asked.
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import OpenAI from "openai";

const { values } = parseArgs({
  options: {
    url: { type: "string", default: "http://127.0.0.1:8000/v1" },
    streams: { type: "string", default: "64" },
    seconds: { type: "string", default: "60" },
    tokens: { type: "string", default: "64" },
  },
});
const seconds = Number(values.seconds);
const tokens = Number(values.tokens);
const apiKey = process.env.WESTWIND_API_KEY ?? "none";
const client = new OpenAI({ baseURL: values.url, apiKey, maxRetries: 0 });
const { id: model } = (await client.models.list()).data[0]!;

/** Bytes of the server's process. */
async function memory(): Promise<number> {
  const url = new URL("/metrics", values.url);
  const text = await (await fetch(url, { headers: { Authorization: `Bearer ${apiKey}` } })).text();
  return Number(/^process_resident_memory_bytes (\d+)/m.exec(text)![1]);
}

const firsts: number[] = []; // milliseconds
const broken = new Map<string, number>();
let [complete, events] = [0, 0];

async function stream(content: string): Promise<void> {
  const begin = performance.now();
  const ask = { model, messages: [{ role: "user" as const, content }], max_tokens: tokens };
  const usage = { include_usage: true };
  let [first, finish, used] = [Number.NaN, null as string | null, Number.NaN];
  for await (const chunk of await client.chat.completions.create({ ...ask, stream: true, stream_options: usage })) {
    const choice = chunk.choices[0];
    if (choice?.delta.content) {
      events++;
      if (Number.isNaN(first)) first = performance.now() - begin;
    }
    finish = choice?.finish_reason ?? finish;
    used = chunk.usage?.completion_tokens ?? used;
  }
  if (finish === null || Number.isNaN(used)) throw new Error("no end");
  if (finish === "length" && used !== tokens) throw new Error(`${used} tokens`);
  if (!Number.isNaN(first)) firsts.push(first);
  complete++;
}

const until = performance.now() + 1000 * seconds;
const worker = async (number: number): Promise<void> => {
  for (let turn = 0; performance.now() < until; turn++) {
    await stream(`Stream ${number}, turn ${turn}: tell a story.`).catch((error: Error) => {
      broken.set(error.message, (broken.get(error.message) ?? 0) + 1);
    });
  }
};
const begin = performance.now();
const before = await memory();
const all = Promise.all(Array.from({ length: Number(values.streams) }, (_, number) => worker(number)));
await sleep(500 * seconds);
const middle = await memory();
await all;
const elapsed = (performance.now() - begin) / 1000;
const after = await memory();

const sorted = firsts.sort((a, b) => a - b);
const quantile = (share: number): string => {
  return (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN).toFixed(0);
};
const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);
console.log(`streams: ${complete} complete, ${[...broken.values()].reduce((sum, count) => sum + count, 0)} broken`);
for (const [message, count] of broken) console.log(`  ${count}: ${message}`);
console.log(`events: ${events}, ${(events / elapsed).toFixed(0)} a second`);
console.log(`time to first token: ${quantile(0.5)} ms median, ${quantile(0.95)} ms at 95 %`);
console.log(
  `memory of the server: ${megabytes(before)} MB before, ${megabytes(middle)} in the middle, ${megabytes(after)} after`,
);
process.exitCode = broken.size > 0 ? 1 : 0;
