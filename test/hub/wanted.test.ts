import { expect, test } from "vitest";
import { type Choose, chooseData, chooseModel, chooseTokenizer } from "../../lib/hub/wanted.js";

const chosen = (choose: Choose, ...paths: string[]): string[] =>
  choose.from(paths.map((path) => ({ path, size: 1, blobId: "" }))).map(({ path }) => path);

const SETTINGS = [
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "tokenizer.model",
];
const MORE = ["special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "vocab.json", "merges.txt"];
const LEFT = [
  ...["README.md", ".gitattributes", "pytorch_model.bin", "model.gguf", "tf_model.h5", "modeling_x.py", "LICENSE"],
  ...["onnx/model.onnx", "onnx/config.json", "checkpoint-5/model.safetensors", "training_args.bin"],
];

test("of a model its settings, its tokenizer and its weights", () => {
  const files = [...SETTINGS, ...MORE, "model.safetensors"];
  expect(chosen(chooseModel, ...LEFT, ...files)).toEqual(files);
});

test("of several sets of weights the one that is loaded", () => {
  const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
  const index = "model.safetensors.index.json";
  const others = ["consolidated.safetensors", "model.fp16.safetensors"];
  expect(chosen(chooseModel, ...others, index, ...shards)).toEqual([index, ...shards]);
  expect(chosen(chooseModel, ...others, index, ...shards, "model.safetensors")).toEqual(["model.safetensors"]);
  expect(chosen(chooseModel, "weights-a.safetensors", index)).toEqual([index, "weights-a.safetensors"]);
  expect(chosen(chooseModel, ...SETTINGS, "pytorch_model.bin")).toEqual([]);
});

test("of a tokenizer no weights", () => {
  expect(chosen(chooseTokenizer, ...LEFT, ...SETTINGS, ...MORE, "model.safetensors")).toEqual([...SETTINGS, ...MORE]);
});

test("of a data set its rows, not what describes them", () => {
  const rows = ["a.parquet", "a.jsonl", "a.json", "a.csv", "a.jsonl.gz", "a.json.zst", "a.csv.gz", "data/a.parquet"];
  const left = [
    "README.md",
    "a.py",
    "dataset_infos.json",
    "dataset_dict.json",
    "state.json",
    ".hidden/a.json",
    "a.zip",
  ];
  expect(chosen(chooseData(), ...left, ...rows)).toEqual(rows);
});

test("other folders count only where there is nothing else", () => {
  expect(chosen(chooseData(), "data/a.parquet", "other/b.parquet")).toEqual(["data/a.parquet"]);
  expect(chosen(chooseData(), "x/a.parquet", "y/z/b.parquet")).toEqual(["x/a.parquet", "y/z/b.parquet"]);
});

test("a file beside the folders of the splits hides none of them", () => {
  const files = ["stats.json", "train/0.parquet", "test/0.parquet"];
  expect(chosen(chooseData(["train", "test"]), ...files)).toEqual(["train/0.parquet", "test/0.parquet"]);
  expect(chosen(chooseData(["train", "test"]), "train.jsonl", "test/0.jsonl")).toEqual(["train.jsonl", "test/0.jsonl"]);
});

test("of splits that are named, those asked for", () => {
  const of = (...splits: string[]) =>
    chosen(chooseData(splits), ...["train_sft", "train_gen", "test_sft", "test_gen"].map((n) => `data/${n}-0.parquet`));
  expect(of("train_sft", "test_sft")).toEqual(["data/train_sft-0.parquet", "data/test_sft-0.parquet"]);
  expect(of("train").length).toBe(2);
  expect(of("other").length).toBe(4);
  expect(chosen(chooseData(["train", "test"]), "train.jsonl", "validation.jsonl", "extra.jsonl")).toEqual([
    "train.jsonl",
    "validation.jsonl",
  ]);
  expect(chosen(chooseData(["train"]), "train/0.parquet", "test/0.parquet")).toEqual(["train/0.parquet"]);
  expect(chosen(chooseData(["train"]), "a.jsonl", "b.jsonl")).toEqual(["a.jsonl", "b.jsonl"]);
});
