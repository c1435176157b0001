import { mkdirSync, readFileSync, renameSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";

import { AbortedError, HubError } from "../../lib/base/errors.js";
import { ownTag } from "../../lib/base/temporary.js";
import { gather, modelFiles, read, someBytes, useHub } from "./downloads.js";
import { type Interfere, sendBytes, sha256 } from "./fake_hub.js";

const use = await useHub();
const { hub } = use;

const LENGTH = 200_000;
const weights = (seed: number): Buffer => someBytes(LENGTH, seed);
const rangesOf = (pattern: RegExp): (string | undefined)[] =>
  hub.seen.filter(({ url, server }) => server === "store" && pattern.test(url)).map(({ headers }) => headers.range);

/** Cuts the connection of the first so many answers of the store after some bytes. */
const cutting = (bytes: Buffer, times: number, most: number): Interfere => {
  let left = times;
  return ({ server, headers, method }, response) => {
    if (server !== "store" || left-- <= 0) return false;
    sendBytes({ headers, method }, response, bytes, most);
    return true;
  };
};

/** Something that was left of the weights, as `name` says. Returns its path. */
function leave(repo: string, seed: number, name: string, bytes: Buffer): string {
  const path = join(use.cache, repo, "blobs", `${sha256(weights(seed))}.${name}.incomplete`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  return path;
}

describe("a connection that is cut", () => {
  test("is taken up where it was, as often as something comes", async () => {
    hub.push("model", "o/cut", modelFiles(LENGTH, 2));
    hub.interfere = cutting(weights(2), 12, 15_000);
    const { events, onEvent } = gather();
    const located = await use.model("o/cut", { onEvent });
    expect(read(located, "model.safetensors").equals(weights(2))).toBe(true);
    const ranges = rangesOf(/./);
    expect(ranges.length).toBe(13);
    expect(ranges[0]).toBeUndefined();
    const starts = ranges.slice(1).map((range) => Number(/^bytes=(\d+)-$/.exec(range!)![1]));
    expect(starts.every((at, i) => at > (starts[i - 1] ?? 0))).toBe(true);
    expect(events.filter(({ kind }) => kind === "waiting").length).toBe(12);
    expect(use.blobs("models--o--cut").filter((name) => name.includes("incomplete"))).toEqual([]);
  });

  test("is an error when nothing comes any more; the next call goes on", async () => {
    hub.push("model", "o/dead", modelFiles(LENGTH, 3));
    let cut = true;
    hub.interfere = ({ server, headers, method }, response) => {
      if (server !== "store" || !cut) return false;
      sendBytes({ headers, method }, response, weights(3), headers.range ? 0 : 50_000);
      return true;
    };
    const failed = use.model("o/dead");
    await expect(failed).rejects.toThrow(/^o\/dead: .*also at try 6$/);
    await expect(failed).rejects.toMatchObject({ code: "ERR_HUB", failure: "unreachable" });
    const left = use.blobs("models--o--dead").filter((name) => name.includes(sha256(weights(3))));
    expect(left).toEqual([`${sha256(weights(3))}.free.incomplete`]);
    cut = false;
    hub.seen.length = 0;
    const { events, onEvent } = gather();
    const located = await use.model("o/dead", { onEvent });
    expect(read(located, "model.safetensors").equals(weights(3))).toBe(true);
    expect(rangesOf(/./)).toEqual([expect.stringMatching(/^bytes=[1-9]\d*-$/)]);
    const first = events.find((event) => event.kind === "downloading");
    expect(first).toMatchObject({ done: Number(/\d+/.exec(rangesOf(/./)[0]!)![0]), total: LENGTH });
  });

  test("on which nothing comes is given up, and taken up again", async () => {
    hub.push("model", "o/stall", modelFiles(LENGTH, 4));
    let stalls = 1;
    hub.interfere = ({ server }, response) => {
      if (server !== "store" || stalls-- <= 0) return false;
      response.writeHead(200, { "content-length": LENGTH }).write(weights(4).subarray(0, 70_000));
      return true; // and no more
    };
    const located = await use.model("o/stall", { settings: { stallMs: 150 } });
    expect(read(located, "model.safetensors").equals(weights(4))).toBe(true);
    expect(rangesOf(/./)).toEqual([undefined, "bytes=70000-"]);
  });

  test("which is slow is none of those", async () => {
    hub.push("model", "o/slow", modelFiles(LENGTH, 24));
    hub.interfere = async ({ server }, response) => {
      if (server !== "store") return false;
      response.writeHead(200, { "content-length": LENGTH });
      for (let at = 0; at < LENGTH; at += 25_000) {
        response.write(weights(24).subarray(at, at + 25_000));
        await sleep(60);
      }
      response.end();
      return true;
    };
    const located = await use.model("o/slow", { settings: { stallMs: 250 } });
    expect(read(located, "model.safetensors").equals(weights(24))).toBe(true);
    expect(rangesOf(/./)).toEqual([undefined]);
  });

  test("nor a listing that comes slowly", async () => {
    const commit = hub.push("model", "o/listed", modelFiles(LENGTH, 27));
    hub.interfere = async ({ url }, response) => {
      if (!/\/revision\//.test(url)) return false;
      response.writeHead(200, { "content-type": "application/json" });
      for (const part of JSON.stringify({ id: "o/listed", sha: commit }).match(/.{10}|.+/g)!) {
        response.write(part);
        await sleep(60);
      }
      response.end();
      return true;
    };
    const { events, onEvent } = gather();
    await use.model("o/listed", { settings: { stallMs: 250 }, onEvent });
    expect(events.filter(({ kind }) => kind === "waiting")).toEqual([]);
  });
});

describe("what was left of a download", () => {
  test("is gone on with", async () => {
    hub.push("model", "o/left", modelFiles(LENGTH, 5));
    leave("models--o--left", 5, "free", weights(5).subarray(0, 123_456));
    const located = await use.model("o/left");
    expect(read(located, "model.safetensors").equals(weights(5))).toBe(true);
    expect(rangesOf(/./)).toEqual(["bytes=123456-"]);
  });

  test("is begun anew where the server knows no ranges", async () => {
    hub.push("model", "o/whole", modelFiles(LENGTH, 6));
    leave("models--o--whole", 6, "free", weights(6).subarray(0, 1000));
    hub.interfere = ({ server, method }, response) => {
      if (server !== "store") return false;
      sendBytes({ headers: {}, method }, response, weights(6));
      return true;
    };
    expect(read(await use.model("o/whole"), "model.safetensors").equals(weights(6))).toBe(true);
    expect(rangesOf(/./)).toEqual(["bytes=1000-"]);
  });

  test("is begun anew where it is wrong or too long", async () => {
    hub.push("model", "o/wrong", modelFiles(LENGTH, 7));
    leave("models--o--wrong", 7, "free", Buffer.alloc(1000));
    expect(read(await use.model("o/wrong"), "model.safetensors").equals(weights(7))).toBe(true);
    expect(rangesOf(/./)).toEqual(["bytes=1000-", undefined]);

    hub.push("model", "o/long", modelFiles(LENGTH, 8));
    leave("models--o--long", 8, "free", Buffer.alloc(LENGTH + 1));
    hub.seen.length = 0;
    expect(read(await use.model("o/long"), "model.safetensors").equals(weights(8))).toBe(true);
    expect(rangesOf(/./)).toEqual([undefined]);
  });

  test("needs no server where it is all there", async () => {
    hub.push("model", "o/all", modelFiles(LENGTH, 9));
    leave("models--o--all", 9, "free", weights(9));
    expect(read(await use.model("o/all"), "model.safetensors").equals(weights(9))).toBe(true);
    expect(rangesOf(/./)).toEqual([]);
  });

  test("by another program is let be", async () => {
    hub.push("model", "o/other", modelFiles(LENGTH, 23));
    const other = leave("models--o--other", 23, "1a2b3c4d", Buffer.from("python's"));
    expect(read(await use.model("o/other"), "model.safetensors").equals(weights(23))).toBe(true);
    expect(readFileSync(other, "utf8")).toBe("python's");
  }, 5000);

  test("by a process that is gone is taken over", async () => {
    hub.push("model", "o/gone", modelFiles(LENGTH, 10));
    const gone = ownTag().replace(/-\d+-/, "-999999999-");
    leave("models--o--gone", 10, gone, weights(10).subarray(0, 5000));
    expect(read(await use.model("o/gone"), "model.safetensors").equals(weights(10))).toBe(true);
    expect(rangesOf(/./)).toEqual(["bytes=5000-"]);
  });

  test("by a process that has not touched it for a minute is taken over", async () => {
    hub.push("model", "o/stale", modelFiles(LENGTH, 11));
    const path = leave("models--o--stale", 11, ownTag(), weights(11).subarray(0, 6000)); // a process that runs: this one
    const before = Date.now() / 1000 - 61;
    utimesSync(path, before, before);
    expect(read(await use.model("o/stale"), "model.safetensors").equals(weights(11))).toBe(true);
    expect(rangesOf(/./)).toEqual(["bytes=6000-"]);
  });

  test("by a process that is at it is waited for", async () => {
    hub.push("model", "o/wait", modelFiles(LENGTH, 12));
    const path = leave("models--o--wait", 12, ownTag(), weights(12).subarray(0, 7000));
    const { events, onEvent } = gather();
    const waiting = use.model("o/wait", { onEvent });
    await sleep(500);
    expect(rangesOf(/./)).toEqual([]);
    expect(events.at(-1)).toMatchObject({ kind: "downloading", done: 7012, total: LENGTH + 12 });
    writeFileSync(path, weights(12));
    renameSync(path, join(dirname(path), sha256(weights(12)))); // as the other process ends
    expect(read(await waiting, "model.safetensors").equals(weights(12))).toBe(true);
    expect(rangesOf(/./)).toEqual([]);
  });
});

test("a signal stops it and leaves what came for the next call", async () => {
  hub.push("model", "o/stop", modelFiles(LENGTH, 17));
  const controller = new AbortController();
  hub.interfere = ({ server }, response) => {
    if (server !== "store") return false;
    response.writeHead(200, { "content-length": LENGTH }).write(weights(17).subarray(0, 90_000));
    return true;
  };
  const stopped = use.model("o/stop", { signal: controller.signal });
  stopped.catch(() => undefined);
  await expect.poll(() => rangesOf(/./).length).toBe(1);
  await sleep(100);
  controller.abort();
  await expect(stopped).rejects.toBeInstanceOf(AbortedError);
  await expect(stopped).rejects.toThrow(
    "stopped while downloading o/stop; what is there is gone on with the next time",
  );
  hub.interfere = () => false;
  hub.seen.length = 0;
  expect(read(await use.model("o/stop"), "model.safetensors").equals(weights(17))).toBe(true);
  expect(rangesOf(/./)).toEqual(["bytes=90000-"]);
});

test("calls at the same time share one download", async () => {
  const contents = Array.from({ length: 40 }, (_, i) => someBytes(1000, 100 + i));
  hub.push("dataset", "o/same", Object.fromEntries(contents.map((bytes, i) => [`train-${i}.jsonl`, bytes])));
  const all = await Promise.all([1, 2, 3, 4].map(() => use.dataset("o/same")));
  expect(new Set(all.map(({ path }) => path)).size).toBe(1);
  expect(contents.filter((bytes, i) => !read(all[0]!, `train-${i}.jsonl`).equals(bytes))).toEqual([]);
  expect(hub.asked(/resolve/).length).toBe(40);
});

test("a call that is stopped hands its download on", async () => {
  hub.push("model", "o/hand", modelFiles(LENGTH, 19));
  const controller = new AbortController();
  let slow = true;
  hub.interfere = ({ server }, response) => {
    if (server !== "store" || !slow) return false;
    slow = false;
    response.writeHead(200, { "content-length": LENGTH }).write(weights(19).subarray(0, 40_000));
    return true;
  };
  const one = use.model("o/hand", { signal: controller.signal }).catch((error) => error);
  await expect.poll(() => rangesOf(/./).length).toBe(1);
  await sleep(100);
  const other = use.model("o/hand");
  await sleep(100);
  controller.abort();
  expect(await one).toBeInstanceOf(AbortedError);
  expect(read(await other, "model.safetensors").equals(weights(19))).toBe(true);
  expect(rangesOf(/./)).toEqual([undefined, "bytes=40000-"]);
});

test("a part that another process takes over and completes is taken from it", async () => {
  hub.push("model", "o/thief", modelFiles(LENGTH, 25));
  hub.interfere = ({ server }) => {
    if (server !== "store") return false;
    const name = use.blobs("models--o--thief").find((name) => name.startsWith(sha256(weights(25))))!;
    const blobs = join(use.cache, "models--o--thief/blobs");
    renameSync(join(blobs, name), join(blobs, sha256(weights(25))));
    writeFileSync(join(blobs, sha256(weights(25))), weights(25));
    return false;
  };
  expect(read(await use.model("o/thief"), "model.safetensors").equals(weights(25))).toBe(true);
  expect(use.blobs("models--o--thief").filter((name) => name.includes("incomplete"))).toEqual([]);
});

test("a store that refuses is asked anew by way of the hub", async () => {
  hub.push("model", "o/expired", modelFiles(LENGTH, 26));
  let left = 1;
  hub.interfere = ({ server }, response) => {
    if (server !== "store" || left-- <= 0) return false;
    response.writeHead(403).end("Request has expired");
    return true;
  };
  expect(read(await use.model("o/expired"), "model.safetensors").equals(weights(26))).toBe(true);
  expect(hub.asked(/resolve.*safetensors/).length).toBe(2);
});

test("a file that cannot be written is said by its name", async () => {
  hub.push("model", "o/full", modelFiles(LENGTH, 22));
  mkdirSync(join(use.cache, "models--o--full"), { recursive: true });
  writeFileSync(join(use.cache, "models--o--full/blobs"), "a file where the folder belongs");
  const failed = use.model("o/full");
  await expect(failed).rejects.toThrow(/models--o--full\/blobs: cannot be made/);
  await expect(failed).rejects.not.toBeInstanceOf(HubError);
});

test("a blob whose place a folder has is said, and not waited for", async () => {
  hub.push("model", "o/taken", modelFiles(LENGTH, 28));
  mkdirSync(join(use.cache, "models--o--taken/blobs", sha256(weights(28)), "folder"), { recursive: true });
  await expect(use.model("o/taken")).rejects.toThrow(/blobs\/[0-9a-f]{64}: cannot be written: is a folder$/);
});
