import { lstatSync, readFileSync, readlinkSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

import { gather, modelFiles, read, someBytes, useHub } from "./downloads.js";
import { gitHash, sha256 } from "./fake_hub.js";

const use = await useHub();
const { hub } = use;

test("a model comes whole, laid out as huggingface_hub does", async () => {
  const files = modelFiles();
  const commit = hub.push("model", "owner/one", files);
  const { events, onEvent } = gather();
  const located = await use.model("owner/one", { onEvent });

  const path = join(use.cache, "models--owner--one", "snapshots", commit);
  expect(located).toEqual({ path, snapshot: { name: "owner/one", revision: "main", commit, path } });
  const weights = someBytes(200_000, 1);
  expect(read(located, "model.safetensors").equals(weights)).toBe(true);
  expect(read(located, "config.json").toString()).toBe('{"a": 1}\n');
  const [config, tokenizer] = [gitHash(Buffer.from('{"a": 1}\n')), gitHash(Buffer.from("{}\n"))];
  expect(use.files().map((name) => name.replace("models--owner--one/", ""))).toEqual(
    [
      ...[`blobs/${config}`, `blobs/${tokenizer}`, `blobs/${sha256(weights)}`],
      ...["config.json", "model.safetensors", "tokenizer.json"].map((name) => `snapshots/${commit}/${name}`),
      ...["refs/main", `.westwind/${commit}.json`],
    ].sort(),
  );
  expect(readlinkSync(join(path, "model.safetensors"))).toBe(`../../blobs/${sha256(weights)}`);
  expect(readFileSync(join(use.cache, "models--owner--one/refs/main"), "utf8")).toBe(commit);

  const bytes = events.filter((event) => event.kind === "downloading");
  const total = 200_000 + 9 + 3;
  expect(bytes.map((event) => event.total)).toEqual(bytes.map(() => total));
  expect(bytes.at(-1)).toMatchObject({ name: "owner/one", commit, done: total });
  expect(bytes.map(({ done }) => done)).toEqual(bytes.map(({ done }) => done).sort((a, b) => a - b));
  expect(events.at(-1)).toEqual({ kind: "located", name: "owner/one", revision: "main", commit, path });
});

test("the second time only the commit is asked for, and of a pinned commit nothing", async () => {
  const commit = hub.push("model", "owner/two", modelFiles());
  await use.model("owner/two");
  hub.seen.length = 0;
  const { events, onEvent } = gather();
  await use.model("owner/two", { onEvent });
  expect(hub.seen.map(({ url }) => url.split("?")[0])).toEqual(["/api/models/owner/two/revision/main"]);
  expect(events.map(({ kind }) => kind)).toEqual(["located"]);
  hub.seen.length = 0;
  expect((await use.model("owner/two", { revision: commit })).snapshot).toMatchObject({ revision: commit, commit });
  expect(hub.seen).toEqual([]);
});

test("what a new commit shares with an old one is not downloaded again, nor counted", async () => {
  const first = hub.push("model", "owner/new", modelFiles());
  const before = await use.model("owner/new");
  const second = hub.push("model", "owner/new", { ...modelFiles(), "config.json": '{"a": 2}\n' });
  hub.seen.length = 0;
  const { events, onEvent } = gather();
  const after = await use.model("owner/new", { onEvent });
  expect(events.find((event) => event.kind === "downloading")).toMatchObject({ total: 9 });
  expect([before.snapshot?.commit, after.snapshot?.commit]).toEqual([first, second]);
  expect(hub.asked(/resolve/)).toEqual([`/owner/new/resolve/${second}/config.json`]);
  expect([read(before, "config.json"), read(after, "config.json")].map(String)).toEqual(['{"a": 1}\n', '{"a": 2}\n']);
});

test("a listing of huggingface_hub's is as good as one of ours, and one of no known form is asked for anew", async () => {
  const commit = hub.push("model", "owner/list", modelFiles());
  await use.model("owner/list");
  const repo = join(use.cache, "models--owner--list");
  renameSync(join(repo, ".westwind"), join(repo, "trees"));
  const askedAgain = async () => {
    hub.seen.length = 0;
    await use.model("owner/list");
    return hub.asked(/tree\//).length;
  };
  expect(await askedAgain()).toBe(0);
  const path = join(repo, "trees", `${commit}.json`);
  for (const [from, to] of [
    ['"format_version": 1', '"format_version": 2'],
    ['"config.json"', '"../config.json"'],
    ["{", ""],
  ] as const) {
    const text = readFileSync(path, "utf8");
    writeFileSync(path, text.replace(from, to));
    expect(await askedAgain()).toBe(2);
    rmSync(join(repo, ".westwind"), { recursive: true });
    writeFileSync(path, text);
  }
});

test("a branch, a tag, and an old commit are found by their names", async () => {
  const old = hub.push("model", "owner/refs", { ...modelFiles(), "config.json": "old" });
  const now = hub.push("model", "owner/refs", { ...modelFiles(), "config.json": "now" });
  hub.push("model", "owner/refs", { ...modelFiles(), "config.json": "pull" }, "refs/pr/1");
  const config = async (revision?: string) => String(read(await use.model("owner/refs", { revision }), "config.json"));
  expect(await config()).toBe("now");
  expect(await config("refs/pr/1")).toBe("pull");
  expect(await config(old)).toBe("old");
  const ref = (name: string) => join(use.cache, "models--owner--refs/refs", name);
  expect(readFileSync(ref("main"), "utf8")).toBe(now);
  expect(statSync(ref("refs/pr/1")).isFile()).toBe(true);
});

test("a revision may stand behind a name", async () => {
  const old = hub.push("model", "owner/at", { ...modelFiles(), "config.json": "old" }, "v1");
  hub.push("model", "owner/at", { ...modelFiles(), "config.json": "now" });
  for (const revision of ["v1", old]) {
    const located = await use.model(`owner/at@${revision}`);
    expect(located.snapshot).toMatchObject({ name: "owner/at", revision, commit: old });
    expect(String(read(located, "config.json"))).toBe("old");
  }
  expect((await use.model("owner/at@v1", { revision: "v1" })).snapshot?.commit).toBe(old);
  await expect(use.model("owner/at@v1", { revision: "main" })).rejects.toThrow(
    "model_revision: main, but owner/at@v1 has its own, expected one of them",
  );
  await expect(use.model("owner/at@")).rejects.toThrow('model_revision: "", expected a branch, a tag or a commit');
  expect(await use.model("no.jsonl@v1")).toEqual({ path: "no.jsonl@v1" });
});

test("the token goes to the hub and not to the store that it redirects to", async () => {
  hub.push("model", "owner/secret", modelFiles());
  await use.model("owner/secret", { settings: { token: { value: "hf_abc", source: "HF_TOKEN" } } });
  const [asked, stored] = ["hub", "store"].map((server) => hub.seen.filter((seen) => seen.server === server));
  expect([asked!.length > 4, stored!.length]).toEqual([true, 1]);
  expect(new Set(asked!.map(({ headers }) => headers.authorization))).toEqual(new Set(["Bearer hf_abc"]));
  expect(stored![0]!.headers.authorization).toBeUndefined();
  expect(new Set(hub.seen.map(({ headers }) => headers["accept-encoding"]))).toEqual(new Set(["identity"]));
});

test("nor to where a next page is said to be", async () => {
  hub.push("model", "owner/pages", modelFiles());
  const elsewhere: (string | undefined)[] = [];
  hub.interfere = ({ url, server, headers }, response) => {
    if (server === "store" && url.startsWith("/page")) {
      elsewhere.push(headers.authorization);
      response.writeHead(200, { "content-type": "application/json" }).end("[]");
      return true;
    }
    if (!url.includes("/tree/")) return false;
    const store = hub.endpointOfStore;
    response.writeHead(200, { "content-type": "application/json", link: `<${store}/page>; rel="next"` }).end("[]");
    return true;
  };
  await use
    .model("owner/pages", { settings: { token: { value: "hf_abc", source: "HF_TOKEN" } } })
    .catch(() => undefined);
  expect(elsewhere).toEqual([undefined]);
});

test("without links a snapshot has files of its own", async () => {
  hub.push("model", "owner/plain", modelFiles());
  const settings = { symlinks: false };
  const located = await use.model("owner/plain", { settings });
  expect(lstatSync(join(located.path, "model.safetensors")).isFile()).toBe(true);
  expect(use.blobs("models--owner--plain")).toEqual([]);
  hub.seen.length = 0;
  await use.model("owner/plain", { settings });
  expect(hub.asked(/resolve/)).toEqual([]);
});

test("without links files of the same content each have it", async () => {
  const same = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`train-${i}.jsonl`, "the same\n"]));
  hub.push("dataset", "owner/alike", same);
  for (let times = 0; times < 5; times++) {
    const settings = { symlinks: false, cache: join(use.cache, String(times)) };
    const [located] = await Promise.all([1, 2].map(() => use.dataset("owner/alike", { settings })));
    expect(Object.keys(same).map((name) => String(read(located!, name)))).toEqual(Object.values(same));
  }
});

test("without links a content that links of another snapshot lead to stays there", async () => {
  hub.push("model", "owner/both", modelFiles());
  const before = await use.model("owner/both");
  hub.push("model", "owner/both", { ...modelFiles(), "config.json": '{"a": 2}\n' });
  const after = await use.model("owner/both", { settings: { symlinks: false } });
  const weights = [before, after].map((located) => read(located, "model.safetensors").length);
  expect(weights).toEqual([200_000, 200_000]);
});

test("a blob of another length than the hub's is replaced", async () => {
  const commit = hub.push("model", "owner/short", modelFiles());
  const located = await use.model("owner/short");
  const blob = join(use.cache, "models--owner--short/blobs", sha256(someBytes(200_000, 1)));
  writeFileSync(blob, "cut short");
  expect(await use.model("owner/short", { revision: commit })).toMatchObject({ path: located.path });
  expect(read(located, "model.safetensors").length).toBe(200_000);
});

test("the weights are not fetched where what comes before them speaks against it", async () => {
  hub.push("model", "owner/odd", modelFiles());
  const inspect = async (folder: string) => {
    throw new Error(readFileSync(join(folder, "config.json"), "utf8"));
  };
  const { locateModel } = await import("../../lib/hub/resolve.js");
  await expect(locateModel("owner/odd", { settings: use.settings(), inspect })).rejects.toThrow('{"a": 1}');
  expect(hub.asked(/model.safetensors/)).toEqual([]);
});

test.each([
  ["../../evil.json", "a"],
  ["/etc/evil.json", "b"],
  ["a/../../evil.json", "c"],
  ["evil\u001b[2J.json", "d"],
  ["a\\..\\evil.json", "d"],
  ["a//evil.json", "e"],
])("a file called %j is refused", async (path, name) => {
  hub.push("model", `owner/${name}`, { ...modelFiles(), [path]: "x" });
  await expect(use.model(`owner/${name}`)).rejects.toMatchObject({ failure: "answer", repo: `owner/${name}` });
  expect(hub.asked(/resolve/)).toEqual([]);
});

test("more than the disk has room for is refused with the figures, before anything comes", async () => {
  hub.push("model", "owner/huge", modelFiles());
  hub.interfere = ({ url }, response) => {
    if (!url.includes("/tree/")) return false;
    const file = { type: "file", path: "model.safetensors", size: 2 ** 52, oid: "0".repeat(40) };
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify([file]));
    return true;
  };
  await expect(use.model("owner/huge")).rejects.toThrow(
    /^.*: \d+ bytes free, expected the 4503599627370496 that owner\/huge needs$/,
  );
  expect(hub.asked(/resolve/)).toEqual([]);
});
