import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";

import { AbortedError, parseRecipe, runDpo } from "../../lib/index.js";
import { temporaryFolder } from "./collect.js";
import { makeModel, pairRows, writeJsonLines } from "./small_model.js";

const folder = temporaryFolder();
const model = await makeModel(join(folder, "model"));
const data = writeJsonLines(join(folder, "pairs.jsonl"), pairRows(70));

const recipe = (output: string, ...overrides: string[]) =>
  parseRecipe("dpo", {
    text: `model_name_or_path: ${model}\ndataset_name: ${data}\noutput_dir: ${join(folder, output)}\nmax_steps: 3\nlogging_steps: 2\nreport: false\n`,
    overrides,
  });

test("a run is an async iteration of events; nothing is printed", async () => {
  const write = [process.stdout, process.stderr].map((stream) => vi.spyOn(stream, "write"));
  const said = ["log", "info", "warn", "error"].map((name) => vi.spyOn(console, name as "log"));
  const kinds: string[] = [];
  const steps: [number, number | undefined][] = [];
  for await (const event of runDpo(recipe("events"))) {
    kinds.push(event.kind);
    if (event.kind === "encoding") expect(event).toEqual({ kind: "encoding", done: 70, total: 70 });
    if (event.kind === "reference") expect(event.total).toBe(70);
    if (event.kind === "step") steps.push([event.step.step, event.record?.step]);
    if (event.kind === "finished") {
      expect(event.summary).toMatchObject({ task: "dpo", steps: 3, rows: 70, report: null, evaluation: null });
    }
  }
  const printed = [...write, ...said].flatMap((spy) => spy.mock.calls);
  for (const spy of [...write, ...said]) spy.mockRestore();
  expect(printed).toEqual([]);
  expect(kinds).toEqual([
    "encoding",
    "reference",
    "reference",
    "reference",
    "prepared",
    "step",
    "step",
    "step",
    "finished",
  ]);
  expect(steps).toEqual([
    [1, undefined],
    [2, 2],
    [3, 3],
  ]);
});

test("returning early ends the run after that step, without a model", async () => {
  for await (const event of runDpo(recipe("left"))) if (event.kind === "step") break;
  expect(existsSync(join(folder, "left", "model.safetensors"))).toBe(false);
});

test("an AbortSignal ends it with a checkpoint and an AbortedError that says where", async () => {
  const controller = new AbortController();
  const follow = async () => {
    for await (const event of runDpo(recipe("aborted"), { signal: controller.signal })) {
      if (event.kind === "prepared") controller.abort();
    }
  };
  const error = await follow().catch((error) => error);
  expect(error).toBeInstanceOf(AbortedError);
  expect(error).toMatchObject({ code: "ERR_ABORTED", step: 1 });
  expect(existsSync(join(folder, "aborted", "checkpoint-1", "manifest.json"))).toBe(true);
});

test("a cached reference is of one config, not of the weights alone", async () => {
  const altered = await makeModel(join(folder, "altered"));
  const kinds = async () => {
    const found: string[] = [];
    for await (const event of runDpo(recipe("cached", `--model_name_or_path=${altered}`))) found.push(event.kind);
    return found;
  };
  expect(await kinds()).toContain("reference");
  expect(await kinds()).not.toContain("reference");
  const path = join(altered, "config.json");
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), rms_norm_eps: 0.1 }));
  expect(await kinds()).toContain("reference");
});

test("two runs at a time do not disturb each other", async () => {
  const losses = async (output: string) => {
    const found: number[] = [];
    for await (const event of runDpo(recipe(output))) if (event.kind === "step") found.push(event.step.loss);
    return found;
  };
  const [a, b] = await Promise.all([losses("a"), losses("b")]);
  expect(a).toEqual(b);
  expect(a.length).toBe(3);
});

test("the package is there under its name, and a program that uses it ends by itself", () => {
  const program = `import { parseRecipe } from "westwind"; console.log(typeof parseRecipe)`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
    encoding: "utf8",
  });
  expect({ stdout, stderr, status }).toEqual({ stdout: "function\n", stderr: "", status: 0 });
});
