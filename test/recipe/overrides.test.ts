import { describe, expect, test } from "vitest";
import { parseOverrides } from "../../lib/recipe/overrides.js";
import { parseRecipe } from "../../lib/recipe/parse.js";
import { problemsOf, thrown } from "./errors.js";

const FILE = `
model_name_or_path: m
output_dir: out
seed: 1
dataset_splits: [train_sft, test_sft]
dataset_mixture:
  datasets:
    - {id: a.jsonl, weight: 1.0}
    - {id: b.jsonl, weight: 1.0}
  seed: 5
`;
const parse = (...overrides: string[]) => parseRecipe("sft", { path: "a.yaml", text: FILE, overrides }).recipe;

test("the three forms", () => {
  expect(parseOverrides(["--a=1", "--b", "2", "--c", "--d=", "--e=x=y", "--f", "-1", "--g-h.i-j=k"])).toEqual([
    { path: ["a"], text: "1" },
    { path: ["b"], text: "2" },
    { path: ["c"], text: undefined },
    { path: ["d"], text: "" },
    { path: ["e"], text: "x=y" },
    { path: ["f"], text: "-1" },
    { path: ["g_h", "i-j"], text: "k" },
  ]);
});

test.each([["seed=1"], ["-s"], ["--"], ["--=1"], ["--9=1"]])("%j is a wrong command line", (arg) => {
  expect(thrown(() => parse(arg))).toMatchObject({ code: "ERR_USAGE", message: `${arg}: expected --key=value` });
});

test("they go before the file, and the last one before the others", () => {
  expect(parse("--seed=2", "--max_steps", "-1", "--seed", "3", "--learning-rate=1e-3")).toMatchObject({
    seed: 3,
    max_steps: -1,
    learning_rate: 1e-3,
  });
  expect(parse("--max_seq_length=5", "--max_length=6").max_length).toBe(6);
});

test("values are YAML", () => {
  const recipe = parse("--dataset_splits=[train, test]", "--bf16", "--save_total_limit=null", "--packing=wrapped");
  expect(recipe).toMatchObject({ dataset_splits: ["train", "test"], bf16: true, save_total_limit: null });
  expect(recipe).toMatchObject({ packing: true, packing_strategy: "wrapped" });
  expect(parse("--dataset_splits=train").dataset_splits).toEqual(["train"]);
  expect(parse("--lr_scheduler_kwargs={min_lr_rate: 0.1}").lr_scheduler_kwargs.min_lr_rate).toBe(0.1);
});

test.each([
  ["2024", "2024"],
  ["1e5", "1e5"],
  ["true", "true"],
  ["a: b # c", "a: b # c"],
  ["{% for m in messages %}{{ m }}{% endfor %}", "{% for m in messages %}{{ m }}{% endfor %}"],
  ["[a", "[a"],
  ["'quoted'", "quoted"],
  ['"a\\nb"', "a\nb"],
  ["null", null],
  ["", null],
])("a text key takes %j as %j", (text, value) => {
  expect(parse(`--chat_template=${text}`).chat_template).toBe(value);
});

test("a key of text or a flag takes either", () => {
  expect(parse("--resume_from_checkpoint=true").resume_from_checkpoint).toBe(true);
  expect(parse("--resume_from_checkpoint").resume_from_checkpoint).toBe(true);
  expect(parse("--resume_from_checkpoint=no").resume_from_checkpoint).toBe(false);
  expect(parse("--resume_from_checkpoint=out/checkpoint-5").resume_from_checkpoint).toBe("out/checkpoint-5");
});

describe("dots", () => {
  test("lead into mappings and lists, and leave the rest", () => {
    const { dataset_mixture } = parse("--dataset_mixture.seed=9", "--dataset_mixture.datasets.1.weight=0.5");
    expect(dataset_mixture).toMatchObject({ seed: 9, datasets: [{ weight: 1 }, { id: "b.jsonl", weight: 0.5 }] });
  });

  test("belong to the name in a mapping with names of its own", () => {
    const { dataset_mixer } = parse("--dataset_mixer={}", "--dataset_mixer.data/a.b.jsonl=0.25");
    expect(dataset_mixer).toEqual({ "data/a.b.jsonl": 0.25 });
  });

  test("that lead nowhere are told", () => {
    expect(problemsOf(() => parse("--seed.x=1"))).toEqual(["seed.x: seed has no entries of its own"]);
    expect(problemsOf(() => parse("--dataset_mixture.sed=1"))).toEqual([
      "dataset_mixture.sed: unknown key, did you mean seed?",
    ]);
  });
});

test("another way to name the data takes the place of the file's", () => {
  expect(parse("--dataset_name=x.jsonl")).toMatchObject({ dataset_name: "x.jsonl", dataset_mixture: null });
  expect(parse("--dataset_mixer={x: 1}")).toMatchObject({ dataset_mixer: { x: 1 }, dataset_mixture: null });
  expect(parse("--dataset_train_split=a")).toMatchObject({ dataset_splits: null, dataset_train_split: "a" });
  expect(problemsOf(() => parse("--dataset_name=x", "--dataset_mixer={x: 1}"))).toHaveLength(1);
  expect(problemsOf(() => parse("--dataset_revision=v1"))).toEqual([
    "dataset_revision: given without dataset_name, expected both or neither; a part of dataset_mixture has its own revision",
  ]);
});

test("a warmup given one way takes the place of the other", () => {
  const { recipe } = parseRecipe("sft", { text: `${FILE}warmup_steps: 100`, overrides: ["--warmup_ratio=0"] });
  expect(recipe).toMatchObject({ warmup_steps: 0, warmup_ratio: 0 });
});

test("wrong values are told by the key as it was written", () => {
  expect(problemsOf(() => parse("--max_seq_length=abc"))).toEqual([
    'max_seq_length: "abc", expected a positive integer, or null',
  ]);
  expect(problemsOf(() => parse("--max_steps"))).toEqual(["max_steps: true, expected a positive integer, or -1"]);
});
