import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { DownloadProgress } from "../../lib/cli/download_progress.js";
import { main } from "../../lib/cli/program.js";
import { modelFiles } from "../hub/downloads.js";
import { FakeHub, refuse } from "../hub/fake_hub.js";
import { temporaryFolder } from "../run/collect.js";

const folder = temporaryFolder();
const hub = await FakeHub.start();
const names = ["HF_ENDPOINT", "HF_HUB_CACHE", "HF_TOKEN"] as const;
const saved = names.map((name) => [name, process.env[name]] as const);

beforeEach(() => {
  Object.assign(process.env, { HF_ENDPOINT: hub.endpoint, HF_HUB_CACHE: join(folder, "cache"), HF_TOKEN: "" });
});
afterEach(() => vi.restoreAllMocks());
afterAll(() => {
  for (const [name, value] of saved) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});

async function run(...args: string[]) {
  const text = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    vi.spyOn(process[name], "write").mockImplementation((chunk) => {
      text[name] += chunk;
      return true;
    });
  }
  const code = await main(args);
  vi.restoreAllMocks();
  return { code, ...text };
}

describe("westwind download", () => {
  test("prints the folder on stdout, and how far it is on stderr", async () => {
    const commit = hub.push("model", "o/cli", modelFiles());
    const path = join(folder, "cache/models--o--cli/snapshots", commit);
    const { code, stdout, stderr } = await run("download", "o/cli");
    expect([code, stdout]).toEqual([0, `${path}\n`]);
    const lines = stderr.trimEnd().split("\n");
    expect(lines[0]).toBe(`o/cli: downloading 200 kB of ${commit}`);
    expect(lines.at(-1)).toMatch(new RegExp(`^o/cli: downloaded ${commit} in [\\d.]+ s$`));
    expect(await run("download", "o/cli")).toEqual({ code: 0, stdout: `${path}\n`, stderr: "" });
    const json = await run("download", "o/cli", "--revision", commit, "--json");
    expect(JSON.parse(json.stdout)).toEqual({ name: "o/cli", revision: commit, commit, path });
  });

  test("takes data sets", async () => {
    const commit = hub.push("dataset", "o/data", { "train.jsonl": "{}\n", "test.jsonl": "{}\n" });
    const path = join(folder, "cache/datasets--o--data/snapshots", commit);
    expect(await run("download", "o/data", "--dataset")).toMatchObject({ code: 0, stdout: `${path}\n` });
  });

  test("says what there is not, with exit code 1", async () => {
    const none = await run("download", "o/none");
    expect(none).toMatchObject({ code: 1, stdout: "" });
    expect(none.stderr).toMatch(
      /^westwind: o\/none: is neither on this machine nor in the cache .* has no such model, .*\n$/,
    );
    const path = await run("download", "./o/none");
    expect(path).toMatchObject({ code: 1, stdout: "" });
    expect(path.stderr).toBe(
      "westwind: ./o/none: is not on this machine, and no name that the hub could have; expected owner/name\n",
    );
    expect((await run("download", "lib")).stdout).toBe("lib\n");
  });

  test("says what it waits for", async () => {
    hub.push("model", "o/busy", modelFiles());
    let left = 1;
    hub.interfere = ({ url }, response) => {
      if (!url.includes("revision") || left-- <= 0) return false;
      response.setHeader("retry-after", "0");
      refuse(response, 429, "", "Too Many Requests");
      return true;
    };
    const { stderr } = await run("download", "o/busy");
    expect(stderr).toMatch(/^o\/busy: http.* allows no more requests for now; .*; trying again in 0\.0 s\n/);
  });
});

describe("the line of a download", () => {
  const shown = (isTTY: boolean, ...done: number[]): string => {
    let text = "";
    const terminal = { isTTY, columns: 100, write: (more: string) => (text += more) };
    const progress = new DownloadProgress(terminal);
    const event = { name: "o/n", commit: "c0ffee", file: "model.safetensors" };
    for (const bytes of done) progress.show({ kind: "downloading", ...event, done: bytes, total: 4_520_000_000 });
    progress.show({ kind: "located", ...event, revision: "main", path: "p" });
    return text;
  };

  test("is drawn over on a terminal", () => {
    const text = shown(true, 0, 1_000_000_000);
    expect(text).toMatch(/^o\/n: downloading 4\.52 GB of c0ffee\n\ro\/n: 0 bytes of 4\.52 GB {2}model\.safetensors/);
    expect(text).toMatch(/\ro\/n: 1 GB of 4\.52 GB {2}.*B\/s {2}.* left {2}model/);
    expect(text).toMatch(/\r +\ro\/n: downloaded c0ffee in 0\.0 s\n$/);
  });

  test("is said at every tenth elsewhere, and what was there before is said", () => {
    const lines = shown(false, 400_000_000, 500_000_000, 910_000_000, 920_000_000, 4_520_000_000).trimEnd().split("\n");
    expect(lines[0]).toBe("o/n: downloading 4.52 GB of c0ffee, 400 MB of them there");
    expect(lines.slice(1, -1).map((line) => /^o\/n: (\d+ MB) of/.exec(line)?.[1])).toEqual(["500 MB", "910 MB"]);
  });

  test("a note of what could not be asked is kept", () => {
    let text = "";
    const progress = new DownloadProgress({ write: (more) => (text += more) });
    progress.show({ kind: "located", name: "o/n", revision: "main", commit: "c0ffee", path: "p", note: "it is far" });
    expect(text).toBe("note: o/n is the cache's c0ffee, since it is far\n");
  });
});
