import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";

import { Random } from "../../lib/base/random.js";
import { refresh } from "../cli/command.js";
import { temporaryFolder } from "../run/collect.js";
import { type Behaviour, FakeEndpoint, type FakeRequest } from "./fake_endpoint.js";

const folder = temporaryFolder();
const PROMPTS = 10;
const ANSWERS = 2 * PROMPTS;

interface Row {
  readonly instruction: string;
  readonly models: readonly string[];
  readonly completions: readonly { readonly model: string; readonly response: string }[];
}

const linesOf = <T>(path: string): T[] =>
  (existsSync(path) ? readFileSync(path, "utf8") : "")
    .split("\n")
    .slice(0, -1) // what is not a whole line was not told to be kept
    .map((line) => JSON.parse(line));

/** The answers that were kept: `model text`. The text tells the prompt and which request it was. */
const keptIn = (output: string): string[] =>
  linesOf<{ model: string; text?: string }>(`${output}.journal`).flatMap(({ model, text }) =>
    text ? [`${model} ${text}`] : [],
  );

/** Mostly it answers; now and then it does everything else that an endpoint can do. */
function whims(random: Random): (request: FakeRequest) => Behaviour {
  let served = 0;
  return ({ prompt, times }) => {
    const bad: readonly Behaviour[] = [
      { kind: "reply", status: 429, headers: { "retry-after": "0" } },
      { kind: "reply", status: 500, body: "<html>" },
      { kind: "reply", status: 200, body: "garbage" },
      { kind: "half" },
      { kind: "drop" },
      { kind: "close" },
      { kind: "hang" },
    ];
    if (times < 3 && random.next() < 0.3) return bad[random.below(bad.length)]!;
    return { kind: "answer", text: `${prompt} #${served++}`, delay: random.below(8) };
  };
}

function start(endpoint: FakeEndpoint, output: string): { child: ChildProcess; ended: Promise<number | null> } {
  const script = join("test", "feedback", "killed_child.mjs");
  const child = spawn(process.execPath, [script, endpoint.url, `${PROMPTS}`, output], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  return { child, ended: new Promise((resolve) => child.on("close", resolve)) };
}

async function surviveKills(seed: number): Promise<void> {
  const random = new Random(seed);
  await using endpoint = await FakeEndpoint.start();
  endpoint.behave = whims(random);
  const output = join(folder, `${seed}.jsonl`);
  let kept: string[] = [];
  for (let kill = 0; kill <= seed % 2; kill++) {
    const { child, ended } = start(endpoint, output);
    const until = endpoint.requests.length + 1 + random.below(ANSWERS);
    let hasEnded = false;
    void ended.then(() => {
      hasEnded = true;
    });
    while (endpoint.requests.length < until && !hasEnded) await setTimeout(1);
    await setTimeout(random.below(6));
    child.kill("SIGKILL");
    await ended;
    const before = kept;
    kept = keptIn(output);
    expect(kept.slice(0, before.length)).toEqual(before); // nothing is lost
    const asked = endpoint.requests.length;
    const isKept = ({ body, prompt }: FakeRequest) => kept.some((one) => one.startsWith(`${body.model} ${prompt} #`));
    const { behave } = endpoint;
    endpoint.behave = (request) => {
      if (endpoint.requests.indexOf(request) >= asked && isKept(request)) askedAgain.push(request);
      return behave(request);
    };
  }
  expect(await start(endpoint, output).ended).toBe(0);

  const rows = linesOf<Row>(output);
  expect(rows.map(({ instruction }) => instruction)).toEqual(Array.from({ length: PROMPTS }, (_, i) => `number ${i}`));
  const given = rows.flatMap(({ instruction, models, completions }) => {
    expect(completions.map(({ model }) => model)).toEqual(models);
    for (const { response } of completions) expect(response.replace(/ #\d+$/, "")).toBe(instruction);
    return completions.map(({ model, response }) => `${model} ${response}`);
  });
  expect([given.length, new Set(given).size]).toEqual([ANSWERS, ANSWERS]);
  expect(keptIn(output).toSorted()).toEqual(given.toSorted()); // every answer that was kept is given, and once
  expect(keptIn(output).slice(0, kept.length)).toEqual(kept);
}

const askedAgain: FakeRequest[] = [];

test("killed at any moment, once or twice, every prompt is answered once, and no answer that was kept is asked for again", async () => {
  refresh();
  const seeds = Array.from({ length: 20 }, (_, seed) => seed).values();
  const inTurn = async (): Promise<void> => {
    for (const seed of seeds) await surviveKills(seed);
  };
  await Promise.all(Array.from({ length: 4 }, inTurn));
  expect(askedAgain).toEqual([]);
  const left = readdirSync(folder).filter((name) => !/^\d+\.jsonl(\.journal)?$/.test(name));
  expect(left).toEqual([]); // neither locks nor files written in part
});
