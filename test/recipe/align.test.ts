import { describe, expect, test } from "vitest";
import { parseAlignRecipe } from "../../lib/recipe/align.js";
import { problemsOf, thrown } from "./errors.js";

const FILE = `
model_name_or_path: base
output_dir: out
chat_template: zephyr
seed: 7
max_length: 256
dataset_name: chats
dataset_test_split: held_out
sft:
  learning_rate: 1.0e-3
feedback:
  binarize:
    input: scored.jsonl
dpo:
  beta: 0.2
  max_length: 512
`;
const parse = (text: string, ...overrides: string[]) => parseAlignRecipe({ path: "a.yaml", text, overrides });

test("shared keys hold for sft and dpo, and a section's own go before them", () => {
  const { sft, dpo } = parse(FILE);
  expect(sft?.recipe).toMatchObject({ seed: 7, chat_template: "zephyr", max_length: 256, learning_rate: 1e-3 });
  expect(dpo?.recipe).toMatchObject({
    seed: 7,
    chat_template: "zephyr",
    max_length: 512,
    learning_rate: 1e-6,
    beta: 0.2,
  });
});

test("each stage goes on from the one before", () => {
  const { sft, feedback, dpo } = parse(FILE);
  expect(sft?.recipe).toMatchObject({ model_name_or_path: "base", dataset_name: "chats", output_dir: "out/sft" });
  expect(sft?.recipe.dataset_test_split).toBe("held_out");
  expect(feedback).toEqual({
    binarize: {
      ...{ rule: "mean", seed: 0, drop_sources: null, keep_truthfulqa: false, min_margin: 0, min_chosen: null },
      ...{ input: "scored.jsonl", output: "out/feedback/pairs.jsonl" },
    },
  });
  expect(dpo?.recipe).toMatchObject({
    model_name_or_path: "out/sft",
    dataset_name: "out/feedback/pairs.jsonl",
    dataset_test_split: "test",
    output_dir: "out/dpo",
  });
});

test("of feedback, each stage reads what the one before writes", () => {
  const whole = FILE.replace(
    "    input: scored.jsonl",
    "    seed: 3\n  generate:\n    prompts: asked\n    completions_per_prompt: 1\n    models: [{model: out/sft}]\n" +
      "  score:\n    judge: {rules: rules.mjs}",
  );
  const { generate, score, binarize } = parse(whole).feedback!;
  expect(generate).toMatchObject({ prompts: "asked", output: "out/feedback/completions.jsonl" });
  expect(score).toMatchObject({ input: "out/feedback/completions.jsonl", output: "out/feedback/scored.jsonl" });
  expect(binarize).toMatchObject({ input: "out/feedback/scored.jsonl", output: "out/feedback/pairs.jsonl", seed: 3 });
  expect(parse(whole, "--feedback.generate.output=x.jsonl").feedback?.score?.input).toBe("x.jsonl");
  expect(parse(whole, "--feedback.generate.models.0.model=there").feedback?.generate?.models[0]?.model).toBe("there");
});

test("without pairs of feedback, dpo has the data set that it names", () => {
  const { feedback, dpo } = parse(
    FILE.replace("  binarize:\n    input: scored.jsonl", "  score: {judge: {rules: r}, input: c}"),
  );
  expect(Object.keys(feedback!)).toEqual(["score"]);
  expect(dpo?.recipe).toMatchObject({ dataset_name: "chats", dataset_test_split: "held_out" });
});

test("a section says otherwise", () => {
  const { sft, dpo } = parse(`${FILE}  model_name_or_path: mine\n  dataset_mixer: {pairs: 1}\n  output_dir: there`);
  expect(sft?.recipe.output_dir).toBe("out/sft");
  expect(dpo?.recipe).toMatchObject({ model_name_or_path: "mine", dataset_name: null, output_dir: "there" });
  expect(dpo?.recipe.dataset_mixer).toEqual({ pairs: 1 });
});

test("stages may be missing", () => {
  const alone = parse("model_name_or_path: base\noutput_dir: out\ndpo: {dataset_name: pairs.jsonl}");
  expect(Object.keys(alone)).toEqual(["dpo"]);
  expect(alone.dpo?.recipe).toMatchObject({ model_name_or_path: "base", dataset_name: "pairs.jsonl" });
  expect(Object.keys(parse("feedback: {binarize: {input: a, output: b, rule: best-worst}}"))).toEqual(["feedback"]);
  expect(problemsOf(() => parse("seed: 1"))).toEqual(["a.yaml: no stage, expected a section sft, feedback or dpo"]);
});

test("a section may be empty, or come from the command line", () => {
  expect(parse("model_name_or_path: m\ndataset_name: d\noutput_dir: o\nsft:\n").sft?.recipe.output_dir).toBe("o/sft");
  expect(parse("model_name_or_path: m\ndataset_name: d\noutput_dir: o\n", "--sft.seed=3").sft?.recipe.seed).toBe(3);
});

test("overrides reach the shared keys and the sections", () => {
  const { sft, feedback, dpo } = parse(
    FILE,
    ...[
      "--seed=8",
      "--dpo.seed=9",
      "--output_dir=o2",
      "--sft.learning-rate=0.5",
      "--dpo.lr_scheduler_kwargs.num_cycles=1",
    ],
    ...["--feedback.binarize.rule=best-worst", "--feedback.binarize.seed=3"],
    ...["--feedback.binarize.drop-sources=[flan, sharegpt]", "--feedback.binarize.min_chosen=4"],
    ...["--feedback.binarize.input=4"],
  );
  expect(sft?.recipe).toMatchObject({ seed: 8, learning_rate: 0.5, output_dir: "o2/sft" });
  expect(dpo?.recipe).toMatchObject({ seed: 9, model_name_or_path: "o2/sft", lr_scheduler_kwargs: { num_cycles: 1 } });
  expect(feedback?.binarize).toMatchObject({
    ...{ rule: "best-worst", seed: 3, drop_sources: ["flan", "sharegpt"], min_chosen: 4, input: "4" },
    output: "o2/feedback/pairs.jsonl",
  });
});

test("a shared data set's revision is sft's, as the data set is", () => {
  const text = FILE.replace("dataset_name: chats", "dataset_name: o/chats\ndataset_revision: v1");
  const { sft, dpo } = parse(text);
  expect(sft?.recipe).toMatchObject({ dataset_name: "o/chats", dataset_revision: "v1" });
  expect(dpo?.recipe).toMatchObject({ dataset_revision: null });
});

test("a shared key of one kind reaches only that kind", () => {
  const { sft, dpo } = parse(`beta: 0.3\n${FILE.replace("  beta: 0.2\n", "")}`);
  expect(dpo?.recipe.beta).toBe(0.3);
  expect(sft?.recipe).not.toHaveProperty("beta");
});

describe("problems", () => {
  test("name section and line, and a shared one is told once", () => {
    const text = FILE.replace("seed: 7", "seed: x")
      .replace("learning_rate: 1.0e-3", "beta: 1")
      .replace("input: scored.jsonl", "rule: best")
      .replace("beta: 0.2", "beta: -1");
    expect(problemsOf(() => parse(`${text}nonsense: 1`))).toEqual([
      "nonsense: unknown key (a.yaml:17)",
      "sft.beta: a key of dpo recipes, this is an sft recipe (a.yaml:10)",
      'seed: "x", expected an integer >= 0 (a.yaml:5)',
      'feedback.binarize.rule: "best", expected one of mean, overall, best-worst (a.yaml:13)',
      "feedback.binarize.input: missing, expected a file or folder of scored completions, or a name on the hub",
      "dpo.beta: -1, expected a number > 0 (a.yaml:15)",
    ]);
  });

  test("a stage of feedback that is wrong is not missed by the next", () => {
    const stages = `feedback:
  generate: {prompts: p, models: [{model: m}], completions_per_prompt: x}
  score: {judge: {rules: r, tempo: 1}}
  binarize: {}
`;
    expect(problemsOf(() => parse(`output_dir: o\n${stages}`))).toEqual([
      'feedback.generate.completions_per_prompt: "x", expected a positive integer (a.yaml:3)',
      "feedback.score.judge.tempo: unknown key (a.yaml:4)",
    ]);
    expect(problemsOf(() => parse("output_dir: o\nfeedback: {score: {judge: {rules: r}}}"))).toEqual([
      "feedback.score.input: missing, expected a file or folder of completions, or a name on the hub",
    ]);
  });

  test("what is missing is missed by the section that needs it", () => {
    expect(problemsOf(() => parse("sft: {dataset_name: d}"))).toEqual([
      "sft.model_name_or_path: missing, expected the folder of a model, or its name on the hub",
      "sft.output_dir: missing, expected a folder to write to",
    ]);
  });

  test("a section is a mapping", () => {
    expect(problemsOf(() => parse("sft: 3\nmodel_name_or_path: m"))).toEqual(["sft: 3, expected a mapping (a.yaml:1)"]);
    expect(problemsOf(() => parse(FILE, "--sft=x"))).toEqual(["sft: expected --sft.key=value"]);
    expect(problemsOf(() => parse(FILE, "--feedback.binarize=x"))).toEqual([
      "feedback.binarize: expected --feedback.binarize.key=value",
    ]);
    expect(problemsOf(() => parse("feedback: {rule: mean, binarise: 1, score: 2}"))).toEqual([
      "feedback.rule: unknown key (a.yaml:1)",
      "feedback.binarise: unknown key, did you mean binarize? (a.yaml:1)",
      "feedback.score: 2, expected a mapping (a.yaml:1)",
    ]);
    expect(thrown(() => parse(FILE, "sft.seed=1")).code).toBe("ERR_USAGE");
  });
});
