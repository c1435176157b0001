import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

import type { HubOptions } from "../../lib/hub/resolve.js";
import { refusal } from "../run/collect.js";
import { gather, modelFiles, read, useHub } from "./downloads.js";
import { type Interfere, refuse } from "./fake_hub.js";

const use = await useHub();
const { hub } = use;
const CLOSED = "http://127.0.0.1:9"; // the port of discard, where nobody listens

/** The error of a model, what differs from run to run made short. */
async function error(name: string, options: HubOptions = {}): Promise<string> {
  const message = await refusal(use.model(name, options));
  return message.replaceAll(hub.endpoint, "HUB").replaceAll(use.cache, "CACHE");
}

const token = { settings: { token: { value: "hf_abc", source: "HF_TOKEN" } } };
const NEITHER = "is neither on this machine nor in the cache CACHE, and";

/** Refuses what matches, so often. */
const refusing =
  (pattern: RegExp, status: number, code = "", message = "", times = Number.POSITIVE_INFINITY): Interfere =>
  ({ url, server }, response) => {
    if (server !== "hub" || !pattern.test(url) || times-- <= 0) return false;
    refuse(response, status, code, message);
    return true;
  };

test("a path with a slip looks like a name of the hub, and the error says both", async () => {
  const unless = "unless it is private, for which HF_TOKEN is to be set";
  expect(await error("outputs/sft")).toBe(`HubError: outputs/sft: ${NEITHER} HUB has no such model, ${unless}`);
  const other = "unless it is private and the token in HF_TOKEN may not read it";
  expect(await error("outputs/sft", token)).toBe(`HubError: outputs/sft: ${NEITHER} HUB has no such model, ${other}`);
  await expect(use.dataset("outputs/pairs")).rejects.toThrow(/ has no such data set, unless /);
});

test.each([
  ["404", 404, "RepoNotFound", "Repository not found", "not-found", "has no such model, unless it is private"],
  [
    "a revision",
    404,
    "RevisionNotFound",
    "",
    "not-found",
    'has no revision "main" of it, expected a branch, a tag or a',
  ],
  ["a bad token", 401, "", "Invalid username or password.", "denied", "HUB does not know the token in HF_TOKEN"],
  ["403", 403, "", "Forbidden", "denied", "HUB answers 403 Forbidden; expected a token that may read it in HF_TOKEN"],
  ["another status", 418, "", "I am a teapot", "answer", "HUB answers 418 I am a teapot"],
])("%s", async (_, status, code, message, failure, expected) => {
  hub.push("model", "o/refused", modelFiles());
  hub.interfere = refusing(/revision/, status, code, message);
  expect(await error("o/refused")).toContain(expected);
  await expect(use.model("o/refused")).rejects.toMatchObject({ code: "ERR_HUB", failure, repo: "o/refused" });
});

test("a gated model says where its conditions are", async () => {
  hub.push("model", "o/gated", modelFiles());
  hub.interfere = refusing(/resolve/, 401, "GatedRepo", "Access to model o/gated is restricted.");
  const page = "HubError: o/gated: is gated; accept its conditions at HUB/o/gated";
  expect(await error("o/gated")).toBe(`${page} and set HF_TOKEN`);
  expect(await error("o/gated", token)).toBe(`${page} with the account of the token in HF_TOKEN`);
});

describe("what may pass", () => {
  test("a rate limit is waited for, as long as the hub says", async () => {
    hub.push("model", "o/rate", modelFiles());
    let left = 2;
    hub.interfere = ({ url }, response) => {
      if (!url.includes("resolve") || left-- <= 0) return false;
      response.setHeader(
        ...((left === 1 ? ["retry-after", "0"] : ["ratelimit", '"resolvers";r=0;t=0']) as [string, string]),
      );
      refuse(response, 429, "", "Too Many Requests");
      return true;
    };
    const { events, onEvent } = gather();
    await use.model("o/rate", { onEvent, settings: { retryMs: 60_000 } }); // which would be waited for otherwise
    const waits = events.filter((event) => event.kind === "waiting");
    expect(waits.map(({ seconds }) => seconds)).toEqual([0, 0]);
    expect(waits[0]!.because).toContain("allows no more requests for now; with a token in HF_TOKEN it allows more");
  });

  test("one that lasts too long is an error at once", async () => {
    hub.push("model", "o/later", modelFiles());
    hub.interfere = ({ url }, response) => {
      if (!url.includes("revision")) return false;
      response.setHeader("retry-after", "3600");
      refuse(response, 429, "", "Too Many Requests");
      return true;
    };
    expect(await error("o/later", token)).toBe(
      `HubError: o/later: ${NEITHER} HUB allows no more requests for now; try again in 3600 s`,
    );
    expect(hub.seen.length).toBe(1);
  });

  test.each([500, 502, 503, 504, 408])("%i is tried again", async (status) => {
    hub.push("model", "o/again", modelFiles());
    hub.interfere = refusing(/tree/, status, "", "", 3);
    await use.model("o/again");
    expect(hub.asked(/tree/).length).toBe(4 + 1); // the listing has two pages
  });

  test("but not for ever, and each time later", async () => {
    hub.push("model", "o/down", modelFiles());
    hub.interfere = refusing(/revision/, 503, "", "Service Unavailable");
    const { events, onEvent } = gather();
    expect(await error("o/down", { onEvent })).toBe(
      `HubError: o/down: ${NEITHER} HUB answers 503 Service Unavailable, also at try 6`,
    );
    const waits = events.map((event) => event.kind === "waiting" && event.seconds * 1000);
    expect(waits).toEqual([5, 10, 20, 40, 80]);
  });
});

test("a page where an answer of the hub belongs", async () => {
  hub.push("model", "o/html", modelFiles());
  hub.interfere = (_, response) => {
    response.writeHead(200, { "content-type": "text/html" }).end("<html>Welcome to this hotel</html>");
    return true;
  };
  expect(await error("o/html")).toBe(
    `HubError: o/html: ${NEITHER} HUB gives text/html that is no JSON; HF_ENDPOINT or a proxy may be no hub`,
  );
});

test("a commit that is none", async () => {
  hub.interfere = (_, response) => {
    response.writeHead(200, { "content-type": "application/json" }).end('{"sha": "../../evil"}');
    return true;
  };
  expect(await error("o/sha")).toContain('HUB gives commit "../../evil", expected 40 hexadecimal digits; HF_ENDPOINT');
});

describe("a hub that is not reached", () => {
  test("is said at once", async () => {
    const started = performance.now();
    const message = await error("o/none", { settings: { endpoint: CLOSED, retryMs: 10_000 } });
    expect(message).toMatch(
      /^HubError: o\/none: is neither .* CACHE, and http:\/\/127\.0\.0\.1:9 cannot be reached: .+$/,
    );
    expect(performance.now() - started).toBeLessThan(5000);
  });

  test("is done without where the cache has all, which is said", async () => {
    const commit = hub.push("model", "o/had", modelFiles());
    await use.model("o/had");
    const { events, onEvent } = gather();
    const located = await use.model("o/had", { onEvent, settings: { endpoint: CLOSED } });
    expect(String(read(located, "config.json"))).toBe('{"a": 1}\n');
    expect(events).toEqual([
      expect.objectContaining({ kind: "located", commit, note: expect.stringMatching(/9 cannot be reached: /) }),
    ]);
  });
});

describe("offline", () => {
  const offline = { settings: { offline: true } };

  test("nothing is asked, and the cache is used", async () => {
    const commit = hub.push("model", "o/off", modelFiles());
    await use.model("o/off");
    hub.seen.length = 0;
    const { events, onEvent } = gather();
    expect((await use.model("o/off", { ...offline, onEvent })).snapshot?.commit).toBe(commit);
    expect((await use.model("o/off", { ...offline, revision: commit })).snapshot?.commit).toBe(commit);
    expect(events).toEqual([expect.not.objectContaining({ note: expect.anything() })]);
    expect(hub.seen).toEqual([]);
  });

  const HOW = "HF_HUB_OFFLINE is set, so the hub is not asked; where the hub can be reached, run: westwind download";

  test("what was never downloaded is named, with how to get it", async () => {
    expect(await error("o/never", offline)).toBe(`HubError: o/never: ${NEITHER} ${HOW} o/never`);
    const refs = join(use.cache, "models--o--never", "refs");
    mkdirSync(refs, { recursive: true });
    writeFileSync(join(refs, "main"), "../.."); // no commit, but where files are
    writeFileSync(join(use.cache, "model.safetensors"), "");
    expect(await error("o/never", offline)).toBe(`HubError: o/never: ${NEITHER} ${HOW} o/never`);
    expect(await refusal(use.dataset("o/data", { ...offline, revision: "v2" }))).toMatch(
      /is neither on this machine nor at v2 in the cache .* westwind download o\/data --dataset --revision v2$/,
    );
  });

  test("what is missing of it is named", async () => {
    hub.push("model", "o/lacks", modelFiles());
    const { path } = await use.model("o/lacks");
    rmSync(join(path, "tokenizer.json"));
    expect((await error("o/lacks", offline)).replace(path, "PATH")).toBe(
      `HubError: o/lacks: lacks tokenizer.json in the cache ${path.replace(use.cache, "CACHE")}, and ${HOW} o/lacks`,
    );
  });
});

test("a repository without what is needed says what it has", async () => {
  hub.push("model", "o/bin", { "config.json": "{}", "pytorch_model.bin": "x", ".gitattributes": "" });
  expect(await error("o/bin")).toBe("HubError: o/bin: holds config.json, pytorch_model.bin, expected safetensors");
  hub.push("dataset", "o/script", { "README.md": "", "load.py": "" });
  expect(await refusal(use.dataset("o/script"))).toBe(
    "HubError: o/script: holds README.md, load.py, expected rows as .parquet, .jsonl, .json or .csv",
  );
});

test.each(["../main", "a/../b", "", "a b", "/main", "main?x"])("%j is no revision", async (revision) => {
  expect(await error("o/rev", { revision })).toBe(
    `ConfigError: model_revision: ${JSON.stringify(revision)}, expected a branch, a tag or a commit`,
  );
  expect(hub.seen).toEqual([]);
});
