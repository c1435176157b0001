import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, test } from "vitest";
import { systemInfo } from "../../lib/tensor/device.js";
import { temporaryFolder } from "../run/collect.js";
import { chatRows, makeModel, pairRows, writeJsonLines } from "../run/small_model.js";
import { run, westwind } from "./command.js";

const folder = temporaryFolder();
const model = await makeModel(join(folder, "model"));
const chats = writeJsonLines(join(folder, "chats.jsonl"), chatRows(16));
const pairs = writeJsonLines(join(folder, "pairs.jsonl"), pairRows(16));

const flags = (output: string, data: string): string[] => [
  ...[`--model_name_or_path=${model}`, `--dataset_name=${data}`, `--output_dir=${output}`],
  ...["--max_steps=2", "--logging_steps=1", "--report_sample_tokens=4"],
];

describe("a training run", () => {
  test.each(["sft", "dpo"] as const)(
    "%s --json: one object on stdout, progress on stderr, a whole folder",
    async (kind) => {
      const output = join(folder, kind);
      const { code, stdout, stderr } = await run(
        kind,
        `recipes/${kind}.yaml`,
        ...flags(output, kind === "sft" ? chats : pairs),
        "--json",
      );
      expect(code).toBe(0);
      expect(stdout.trim().split("\n").length).toBe(1);
      expect(JSON.parse(stdout)).toMatchObject({
        task: kind,
        output_dir: output,
        steps: 2,
        rows: 16,
        report: join(output, "report.md"),
      });
      expect(stderr).toMatch(/^device: .*\ntraining rows: 16\n/m);
      expect(stderr).toMatch(/^step 1\/2 {2}loss [\d.]+ {2}/m);
      expect(stderr).toMatch(/^done: 2 steps, model in .*, report in .*report\.md\n$/m);
      const files = [
        ...["config.json", "generation_config.json", "log.jsonl", "model.safetensors", "report.md", "run.json"],
        ...["special_tokens_map.json", "summary.json", "tokenizer.json", "tokenizer_config.json"],
      ];
      expect(
        readdirSync(output)
          .filter((name) => !name.startsWith("reference-"))
          .sort(),
      ).toEqual(files);
    },
  );

  test("without --json prints nothing on stdout; ignored keys and notes are said once", async () => {
    const { code, stdout, stderr } = await run(
      "sft",
      ...flags(join(folder, "quiet"), chats),
      "--tf32",
      "--report_to",
      "wandb",
      "--report=false",
    );
    expect([code, stdout]).toEqual([0, ""]);
    expect(stderr.match(/^ignored: report_to: a run's records are log.jsonl and report.md$/gm)?.length).toBe(1);
    expect(stderr).toMatch(/^note: tf32: true: not computed in; /m);
  });

  test("what is wrong is one line on stderr, with exit code 1 and nothing on stdout", async () => {
    const output = join(folder, "never");
    const { code, stdout, stderr } = await run(
      "sft",
      "recipes/sft.yaml",
      ...flags(output, chats),
      "--learning_rat=1",
      "--json",
    );
    expect({ code, stdout, stderr }).toEqual({
      code: 1,
      stdout: "",
      stderr: "westwind: learning_rat: unknown key, did you mean learning_rate?\n",
    });
    expect(existsSync(output)).toBe(false);
    writeFileSync(join(folder, "half.jsonl"), '{"messages": [\n');
    const bad = await run("sft", ...flags(output, join(folder, "half.jsonl")));
    expect(bad).toMatchObject({ code: 1, stdout: "" });
    expect(bad.stderr).toMatch(/^westwind: .*half\.jsonl:1: is not JSON: .*\n$/);
    expect(existsSync(output)).toBe(false);
  });
});

test.each([
  [["frob"], "unknown command 'frob'; see westwind --help"],
  [["feedback"], "a command is missing; see westwind feedback --help"],
  [["info", "--frob"], "unknown option '--frob'; see westwind info --help"],
  [["sft", "recipes/sft.yaml", "extra"], "extra: expected --key=value"],
  [["align"], "missing required argument 'recipe'; see westwind align --help"],
  [["generate", "--prompt", "x"], "required option '--model <folder>' not specified; see westwind generate --help"],
  [
    ["data", "head", "x", "--widt", "3"],
    "unknown option '--widt' (Did you mean --width?); see westwind data head --help",
  ],
  [["generate", "--model", "m", "--prompt", "x", "--top-p=3"], "--top-p: 3, expected a number above 0 and at most 1"],
  [["feedback", "binarize", "x", "--output=y", "--rule=z"], "--rule: z, expected one of mean, overall, best-worst"],
])("%j is a wrong command line: exit code 2", async (args, message) => {
  expect(await run(...args)).toEqual({ code: 2, signal: null, stdout: "", stderr: `westwind: ${message}\n` });
});

test("what is wrong with an option is said of its flag", async () => {
  const prepare = await run("data", "prepare", chats, `--output=${join(folder, "no")}`, "--train-name=a/b");
  expect(prepare.stderr).toBe('westwind: --train-name: "a/b", expected letters, digits, "-", "_" and "."\n');
  const generate = await run("generate", `--model=${model}`, "--prompt=x", "--chat-template=none");
  expect(generate.stderr).toMatch(/^westwind: --chat-template: "none", expected one of zephyr, /);
});

test("help and version go to stdout; without a command, help goes to stderr with exit code 2", async () => {
  const help = await run("--help");
  expect(help).toMatchObject({ code: 0, stderr: "" });
  for (const name of ["sft", "dpo", "feedback", "align", "generate", "chat", "info"])
    expect(help.stdout).toMatch(` ${name} `);
  expect(await run()).toEqual({ code: 2, signal: null, stdout: "", stderr: help.stdout });
  expect((await run("dpo", "--help")).stdout).toMatch(/^Usage: westwind dpo \[options\] \[recipe\] \[overrides...\]/);
  const { version } = JSON.parse(readFileSync("package.json", "utf8"));
  expect(await run("--version")).toMatchObject({ code: 0, stdout: `${version}\n` });
});

test("info tells of the machine", async () => {
  const { code, stdout } = await run("info", "--json");
  expect(code).toBe(0);
  const info = JSON.parse(stdout);
  expect(info.instructionSets).toContain("portable");
  expect(info.cpu[0].units).toBeGreaterThan(0);
  expect((await run("info")).stdout).toMatch(/^cpu .* threads.*\nkernels .* is used\n/);
});

test.skipIf(systemInfo().cuda.length > 0)("without a GPU, info and a run on cuda say what is missing", async () => {
  const [, missing] = /^cuda {5}none: (.+)$/m.exec((await run("info")).stdout)!;
  expect(missing).toMatch(/the NVIDIA driver|no CUDA backend/);
  const output = join(folder, "on-cuda");
  const { code, stderr } = await run("sft", ...flags(output, chats), "--device=cuda");
  expect([code, stderr.trimEnd().split("\n").at(-1)]).toEqual([1, `westwind: cuda: ${missing}`]);
  expect(existsSync(output)).toBe(false);
});

/** Runs with a variable of the environment set. */
async function runWith(name: string, value: string, ...args: string[]) {
  const saved = process.env[name];
  process.env[name] = value;
  try {
    return await run(...args);
  } finally {
    if (saved === undefined) delete process.env[name];
    else process.env[name] = saved;
  }
}

test.each([
  ["portable", "portable is used"],
  ["", expect.stringMatching(/^\w+ is used$/)],
  ["avx1024", "WESTWIND_ISA is avx1024, expected one of them"],
])("info with WESTWIND_ISA=%s", async (name, used) => {
  const { code, stdout } = await runWith("WESTWIND_ISA", name, "info");
  expect([code, /^kernels .*; (.*)$/m.exec(stdout)![1]]).toEqual([0, used]);
});

test.each([
  ["3", " threads (3 are used), "],
  ["many", " threads (WESTWIND_THREADS is many, expected a positive integer), "],
])("info with WESTWIND_THREADS=%s", async (asked, told) => {
  expect((await runWith("WESTWIND_THREADS", asked, "info")).stdout.split("\n")[0]).toContain(told);
});

test("a defect of westwind is called one, with its stack and exit code 70", async () => {
  const saboteur = `--import "data:text/javascript,JSON.stringify=()=>{throw new TypeError('boom')}"`;
  const { code, stdout, stderr } = await runWith("NODE_OPTIONS", saboteur, "info", "--json");
  expect([code, stdout]).toEqual([70, ""]);
  expect(stderr).toMatch(
    /^westwind: a defect of westwind, not of its input; please report it with these lines\nTypeError: boom\n {4}at /,
  );
});

test("a missing addon is one line with the cure", async () => {
  const { code, stdout, stderr } = await runWith("WESTWIND_ADDON", "/none.node", "info");
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toMatch(
    /^westwind: the native addon did not load from \/none.node: .*; build it with `npx westwind-build` .*\n$/,
  );
});

test("the addon may be named from the folder one is in", async () => {
  const addon = relative(".", process.env.WESTWIND_ADDON ?? "build/Release/westwind.node");
  expect((await runWith("WESTWIND_ADDON", addon, "info")).code).toBe(0);
});

describe("generate", () => {
  const ask = (...args: string[]) =>
    run("generate", `--model=${model}`, "--prompt", "the old miller", "--max-new-tokens=8", ...args);

  test("greedy answers and seeded ones repeat; another seed draws others", async () => {
    const [greedy, again, drawn, same, other] = await Promise.all([
      ...[ask("--temperature=0", "--json"), ask("--temperature=0", "--seed=9", "--json")],
      ...[ask("--seed=1"), ask("--seed=1"), ask("--seed=2")],
    ]);
    expect(greedy!.code).toBe(0);
    expect(JSON.parse(greedy!.stdout)).toMatchObject({ finish: "length", completion_tokens: 8 });
    expect(again!.stdout).toBe(greedy!.stdout);
    expect(same!.stdout).toBe(drawn!.stdout);
    expect(other!.stdout).not.toBe(drawn!.stdout);
  });

  test("--raw goes on with the text itself, --system says something before it", async () => {
    const prompt = async (...args: string[]) =>
      JSON.parse((await ask("--json", ...args)).stdout).prompt_tokens as number;
    const [chat, raw, system] = await Promise.all([prompt(), prompt("--raw"), prompt("--system", "rain falls")]);
    expect(raw).toBeLessThan(chat);
    expect(system).toBeGreaterThan(chat);
  });

  test("Ctrl-C ends it with one line and exit code 130", async () => {
    const once =
      "const i = setInterval(() => process.listenerCount('SIGINT') && (clearInterval(i), process.kill(process.pid, 'SIGINT')))";
    const hook = `--import "data:text/javascript,${encodeURIComponent(once)}"`;
    const { code, stdout, stderr } = await runWith(
      "NODE_OPTIONS",
      hook,
      "generate",
      `--model=${model}`,
      "--prompt=old",
    );
    expect([code, stdout]).toEqual([130, ""]);
    expect(stderr).toMatch(
      /^\nwestwind: stopping after this token; once more to stop at once\nwestwind: stopped after \d+ of at most \d+ tokens\n$/,
    );
  });

  test("a prompt that leaves the model no room", async () => {
    const { code, stdout, stderr } = await run("generate", `--model=${model}`, "--prompt", "old ".repeat(300));
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/^westwind: --prompt: \d+ tokens, expected fewer than the 256 there is room for\n$/);
  });

  test("a file of prompts gets the answers that the prompts get alone", async () => {
    const prompts = join(folder, "prompts.txt");
    const answers = join(folder, "answers", "answers.jsonl");
    writeFileSync(prompts, "rain falls\nthe old miller\n");
    const args = ["--prompts", prompts, "--output", answers, "--temperature=0", "--max-new-tokens=8"];
    const { code, stdout, stderr } = await run("generate", `--model=${model}`, ...args);
    expect([code, stdout]).toEqual([0, ""]);
    expect(stderr).toMatch(/^done: 2\/2 prompts .*, answers in .*answers\.jsonl\n$/m);
    const rows = readFileSync(answers, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(rows.map(({ prompt, finish }) => [prompt, finish])).toEqual([
      ["rain falls", "length"],
      ["the old miller", "length"],
    ]);
    expect(`${rows[1].completion}\n`).toBe((await ask("--temperature=0")).stdout);
  });
});

test("chat answers the lines of a pipe, and prints nothing else", async () => {
  const pipe = ["bash", "-c", 'printf "the old miller\\n/undo\\nthe old miller\\n" | "$@"', "bash"];
  const args = ["chat", `--model=${model}`, "--temperature=0", "--max-new-tokens=8"];
  const { code, stdout, stderr } = await westwind(args, pipe).outcome;
  expect([code, stderr]).toEqual([0, "taken back: the old miller\n"]);
  const prompt = ["--prompt", "the old miller", ...args.slice(1)];
  const alone = await run("generate", ...prompt);
  expect(stdout).toBe(alone.stdout.repeat(2));
});

/** UltraFeedback's shape; the answers' scores differ by one each. */
function scoredRows(count: number): unknown[] {
  return pairRows(count).map(({ prompt, chosen, rejected }, i) => ({
    instruction: prompt,
    completions: [chosen, rejected].map((messages, rank) => ({
      model: `writer-${rank}`,
      response: (messages[1] as { content: string }).content,
      annotations: { helpfulness: { Rating: String(i === 0 ? 3 : 4 - rank) } },
    })),
  }));
}

test("feedback binarize writes pairs and counts what it dropped", async () => {
  const input = writeJsonLines(join(folder, "scored.jsonl"), scoredRows(6));
  const output = join(folder, "made", "pairs.jsonl");
  const { code, stdout, stderr } = await run("feedback", "binarize", input, `--output=${output}`, "--seed=3", "--json");
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ pairs: 5 }); // the first row is a tie
  expect(stderr).toBe(`rows: 6\npairs: 5\ndropped: all scores are tied: 1\npairs in ${output}\n`);
  const lines = readFileSync(output, "utf8").trim().split("\n");
  expect(lines.length).toBe(5);
  expect(JSON.parse(lines[0]!).chosen_model).toBe("writer-0");

  writeFileSync(input, '{"instruction": 3}\n');
  const refused = await run("feedback", "binarize", input, `--output=${output}`);
  expect(refused).toMatchObject({ code: 1, stdout: "" });
  expect(refused.stderr).toMatch(/scored\.jsonl:1: instruction/);
  expect(readFileSync(output, "utf8").trim().split("\n")).toEqual(lines); // as it was
});

describe("align", () => {
  const recipe = join(folder, "align.yaml");
  const output = join(folder, "aligned");
  const files = ["sft", "dpo"].map((stage) => join(output, stage, "model.safetensors"));
  const times = () => files.map((file) => statSync(file).mtimeMs);

  test("carries out three stages, and passes over what is done the next time", async () => {
    const scored = writeJsonLines(join(folder, "feedback.jsonl"), scoredRows(12));
    writeFileSync(
      recipe,
      `model_name_or_path: ${model}\noutput_dir: ${output}\nmax_steps: 3\nreport: false\nlearning_rate: 1.0e-3\nsave_steps: 2\n` +
        `sft:\n  dataset_name: ${chats}\nfeedback:\n  binarize: {input: ${scored}}\ndpo:\n  beta: 0.2\n`,
    );
    const first = await run("align", recipe, "--json");
    expect(first).toMatchObject({ code: 0, signal: null });
    expect(first.stderr.match(/^== \w+$/gm)).toEqual(["== sft", "== binarize", "== dpo"]);
    const results = JSON.parse(first.stdout);
    expect(Object.keys(results)).toEqual(["sft", "binarize", "dpo"]);
    expect(results).toMatchObject({ sft: { steps: 3 }, binarize: { pairs: 11 }, dpo: { steps: 3, rows: 11 } });

    const before = times();
    const second = await run("align", recipe, "--json");
    expect(second.code).toBe(0);
    expect(JSON.parse(second.stdout)).toEqual(results);
    expect(second.stderr).not.toMatch(/^step /m);
    expect(times()).toEqual(before);
  });

  test("a stage that starts from another model than before is another run", async () => {
    const changed = await run("align", recipe, "--sft.learning_rate=2e-3", "--sft.overwrite_output_dir");
    expect(changed.code).toBe(1);
    expect(changed.stderr).toMatch(
      /^westwind: output_dir: .*dpo belongs to another run: base_run was "\w+", now "\w+"; /m,
    );
  });
});
