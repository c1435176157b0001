import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";

import { refresh } from "../cli/command.js";
import { modelFiles, someBytes, useHub } from "./downloads.js";
import { sha256 } from "./fake_hub.js";

const use = await useHub();
const { hub } = use;

const LENGTH = 200_000;
const weights = (seed: number): Buffer => someBytes(LENGTH, seed);
const ranges = (): (string | undefined)[] =>
  hub.seen.filter(({ server }) => server === "store").map(({ headers }) => headers.range);

/** A process that downloads; its standard output is the folder. */
function start(name: string) {
  refresh();
  const environment = { ...process.env, HF_ENDPOINT: hub.endpoint, HF_HUB_CACHE: use.cache, HF_TOKEN: "" };
  const child = spawn(process.execPath, ["dist/cli/main.js", "download", name], { env: environment });
  let stdout = "";
  child.stdout.on("data", (data) => (stdout += data));
  return { child, ended: once(child, "close").then(([code]) => ({ code, stdout })) };
}

test("two at once end with one whole file, which came once", async () => {
  hub.push("model", "o/two", modelFiles(LENGTH, 20));
  const lookUps = (): number => hub.asked(/\/revision\//).length;
  hub.interfere = async ({ server }) => {
    while (server === "store" && lookUps() < 2) await sleep(10); // the other comes while this one is at it
    if (server === "store") await sleep(300);
    return false;
  };
  const first = start("o/two");
  await expect.poll(() => ranges().length, { timeout: 10_000 }).toBe(1);
  const [a, b] = await Promise.all([first.ended, start("o/two").ended]);
  expect([a.code, b.code]).toEqual([0, 0]);
  expect(ranges()).toEqual([undefined]);
  expect(a.stdout).toBe(b.stdout);
  expect(readFileSync(join(a.stdout.trim(), "model.safetensors")).equals(weights(20))).toBe(true);
  expect(use.blobs("models--o--two").filter((name) => name.includes("incomplete"))).toEqual([]);
});

test("one that is killed leaves no half blob, and the next goes on", async () => {
  hub.push("model", "o/kill", modelFiles(LENGTH, 21));
  hub.interfere = ({ server }, response) => {
    if (server !== "store") return false;
    response.writeHead(200, { "content-length": LENGTH }).write(weights(21).subarray(0, 60_000));
    return true;
  };
  const { child, ended } = start("o/kill");
  const partial = (): string[] => use.blobs("models--o--kill").filter((name) => name.startsWith(sha256(weights(21))));
  await expect.poll(() => ranges().length, { timeout: 10_000 }).toBe(1);
  await sleep(200);
  child.kill("SIGKILL");
  expect((await ended).code).toBe(null);
  expect(partial()).toEqual([expect.stringMatching(/^[0-9a-f]{64}\.[0-9a-f]{8}-\d+-[0-9a-f]{8}\.incomplete$/)]);
  hub.interfere = () => false;
  hub.seen.length = 0;
  const next = await start("o/kill").ended;
  expect(next.code).toBe(0);
  expect(readFileSync(join(next.stdout.trim(), "model.safetensors")).equals(weights(21))).toBe(true);
  expect(ranges()).toEqual(["bytes=60000-"]);
  expect(partial()).toEqual([sha256(weights(21))]);
});
