import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

import { parseRecipe } from "../../lib/recipe/parse.js";
import { runSft } from "../../lib/run/start.js";
import { type Outcome, westwind } from "../cli/command.js";
import { temporaryFolder } from "./collect.js";
import { chatRows, makeModel, pairRows, writeJsonLines } from "./small_model.js";

const folder = temporaryFolder();
const model = await makeModel(join(folder, "model"));
const DATA = {
  sft: writeJsonLines(join(folder, "chats.jsonl"), chatRows(50)),
  dpo: writeJsonLines(join(folder, "pairs.jsonl"), pairRows(50)),
};

const flags = (kind: "sft" | "dpo", output: string, steps: number): string[] => [
  kind,
  ...[`--model_name_or_path=${model}`, `--dataset_name=${DATA[kind]}`, `--output_dir=${output}`, "--report=false"],
  ...["--per_device_train_batch_size=4", `--max_steps=${steps}`, "--learning_rate=1e-3", "--logging_steps=4"],
  ...["--save_steps=10", "--save_total_limit=2", "--threads=1"],
];

/** Runs until a line of stderr says so, then sends the signal. */
async function interrupt(args: readonly string[], signal: "SIGKILL" | "SIGINT", when: RegExp): Promise<Outcome> {
  const { process: child, outcome } = westwind(args);
  let seen = "";
  const onData = (data: Buffer) => {
    seen += data;
    if (!when.test(seen)) return;
    child.stderr!.off("data", onData);
    child.kill(signal);
  };
  child.stderr!.on("data", onData);
  return outcome;
}

function logOf(output: string): Record<string, number>[] {
  const lines = readFileSync(join(output, "log.jsonl"), "utf8").trim().split("\n");
  return lines
    .map((line) => JSON.parse(line) as Record<string, number>)
    .filter((line) => "loss" in line)
    .map((line) => Object.fromEntries(Object.entries(line).filter(([key]) => !key.endsWith("_per_second"))));
}

const weights = (output: string) => readFileSync(join(output, "model.safetensors"));
const hidden = (output: string) => readdirSync(output).filter((name) => name.startsWith("."));

test.each(["sft", "dpo"] as const)("%s killed twice ends with the digits of a run left alone", async (kind) => {
  const STEPS = 150;
  const [killed, whole] = [join(folder, `${kind}-killed`), join(folder, `${kind}-whole`)];
  const args = flags(kind, killed, STEPS);
  const again = [...args, "--resume_from_checkpoint=true"];
  expect(await interrupt(args, "SIGKILL", /step 12\/150/)).toMatchObject({ code: null, signal: "SIGKILL", stdout: "" });
  expect(await interrupt(again, "SIGKILL", /step 52\/150/)).toMatchObject({ code: null, signal: "SIGKILL" });
  const [last, alone] = [await westwind(again).outcome, await westwind(flags(kind, whole, STEPS)).outcome];
  expect([last.code, alone.code]).toEqual([0, 0]);
  expect(last.stderr).toMatch(/resumed after step: (?:[5-9]|1[0-4])\d\n/);
  expect(logOf(killed)).toEqual(logOf(whole));
  expect(weights(killed).equals(weights(whole))).toBe(true);
  expect(hidden(killed)).toEqual([]); // nothing is left of the saves that the kill cut short
});

test("Ctrl-C saves a checkpoint, says so and exits with 130; the run goes on from it", async () => {
  const [stopped, whole] = [join(folder, "stopped"), join(folder, "not-stopped")];
  const args = (output: string) => [...flags("sft", output, 300), "--save_strategy=no"];
  const outcome = await interrupt(args(stopped), "SIGINT", /step 20\/300/);
  expect(outcome).toMatchObject({ code: 130, stdout: "" });
  expect(outcome.stderr).toMatch(/westwind: stopping after this step; once more to stop at once\n/);
  expect(outcome.stderr).toMatch(/\nwestwind: stopped after step \d+ of 300; saved in .*checkpoint-\d+\n$/);
  expect(readdirSync(stopped)).not.toContain("model.safetensors");

  expect((await westwind([...args(stopped), "--resume_from_checkpoint=true"]).outcome).code).toBe(0);
  expect((await westwind(args(whole)).outcome).code).toBe(0);
  expect(logOf(stopped)).toEqual(logOf(whole));
  expect(weights(stopped).equals(weights(whole))).toBe(true);
});

test("a run goes on when nobody reads what it tells", async () => {
  const output = join(folder, "unread");
  const { process: child, outcome } = westwind([...flags("sft", output, 40), "--logging_steps=1"]);
  child.stderr!.once("data", () => child.stderr!.destroy());
  expect((await outcome).code).toBe(0);
  expect(readdirSync(output)).toContain("model.safetensors");
});

// A limit on the size of files stands for a full disk: the weights fit, the optimiser's moments do not.
test.skipIf(process.platform === "win32")(
  "what cannot be written is an error that leaves nothing of it, and the checkpoint before stays",
  async () => {
    const [full, whole] = [join(folder, "full"), join(folder, "not-full")];
    const args = (output: string, steps = "--save_steps=10") => [...flags("sft", output, 20), steps];
    for await (const event of runSft(parseRecipe("sft", { overrides: args(full).slice(1) }))) {
      if (event.kind === "step" && event.step.step === 12) break;
    }
    const command = `trap "" XFSZ; ulimit -f 300; exec "$0" "$@"`;
    const again = [...args(full, "--save_steps=15"), "--resume_from_checkpoint=true"];
    const { code, stdout, stderr } = await westwind(again, ["bash", "-c", command]).outcome;
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(
      /\nwestwind: .*checkpoint-15\/optimizer.safetensors: cannot be written: larger than the system lets a file be; nothing was changed\n$/,
    );
    expect(readdirSync(full).sort()).toEqual(["checkpoint-10", "log.jsonl", "run.json"]);

    const last = await westwind([...again, "--save_strategy=no"], ["bash", "-c", command.replace("300", "150")])
      .outcome;
    expect(last.code).toBe(1);
    expect(last.stderr).toMatch(/\nwestwind: .*\.model\/model.safetensors: cannot be written: larger than the system /);
    expect(readdirSync(full).sort()).toEqual(["checkpoint-10", "log.jsonl", "run.json"]);

    expect((await westwind([...args(full), "--resume_from_checkpoint=true"]).outcome).code).toBe(0);
    expect((await westwind(args(whole)).outcome).code).toBe(0);
    expect(logOf(full)).toEqual(logOf(whole));
    expect(weights(full).equals(weights(whole))).toBe(true);
  },
);
