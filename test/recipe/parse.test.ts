import { describe, expect, test } from "vitest";
import { parseRecipe } from "../../lib/recipe/parse.js";
import { problemsOf, thrown } from "./errors.js";

const NEEDED = "model_name_or_path: m\ndataset_name: d.jsonl\noutput_dir: out\n";
const sft = (text: string, ...overrides: string[]) =>
  parseRecipe("sft", { path: "a.yaml", text: NEEDED + text, overrides });
const dpo = (text: string, ...overrides: string[]) =>
  parseRecipe("dpo", { path: "a.yaml", text: NEEDED + text, overrides });

describe("defaults", () => {
  test("are those of TRL", () => {
    const { recipe, ignored, notes } = sft("");
    expect(recipe).toMatchObject({
      learning_rate: 2e-5,
      num_train_epochs: 3,
      max_steps: -1,
      per_device_train_batch_size: 8,
      gradient_accumulation_steps: 1,
      lr_scheduler_type: "linear",
      warmup_ratio: 0,
      warmup_steps: 0,
      optim: "adamw",
      weight_decay: 0,
      adam_beta1: 0.9,
      adam_beta2: 0.999,
      adam_epsilon: 1e-8,
      max_grad_norm: 1,
      max_length: 1024,
      packing: false,
      packing_strategy: "bfd",
      loss_type: "nll",
      assistant_only_loss: false,
      completion_only_loss: null,
      logging_steps: 10,
      eval_strategy: "no",
      do_eval: false,
      save_strategy: "steps",
      save_steps: 500,
      save_total_limit: null,
      seed: 42,
      data_order: "shuffled",
      resume_from_checkpoint: false,
    });
    expect({ ignored, notes }).toEqual({ ignored: [], notes: [] });
    expect(dpo("").recipe).toMatchObject({
      learning_rate: 1e-6,
      beta: 0.1,
      loss_type: ["sigmoid"],
      label_smoothing: 0,
      max_length: 1024,
      max_prompt_length: null,
      truncation_mode: "keep_start",
    });
  });

  test("leave no key without a value, and nothing can be written to", () => {
    const { recipe } = sft("dataset_splits: [train, test]");
    expect(Object.entries(recipe).filter(([, value]) => value === undefined)).toEqual([]);
    expect(Object.isFrozen(recipe) && Object.isFrozen(recipe.dataset_splits)).toBe(true);
    expect(Object.isFrozen(recipe.lr_scheduler_kwargs)).toBe(true);
  });
});

describe("spellings", () => {
  test("mappings can be merged, and numbers may have an exponent without a point", () => {
    const { recipe } = sft("lr_scheduler_kwargs: &a {min_lr_rate: 1e-1}\nlearning_rate: 1e-5");
    expect(recipe).toMatchObject({ learning_rate: 1e-5, lr_scheduler_kwargs: { min_lr_rate: 0.1 } });
    expect(sft("<<: {seed: 5}").recipe.seed).toBe(5);
  });

  test("older and newer names of a key are one key", () => {
    const { recipe } = sft("max_seq_length: 7\nevaluation_strategy: epoch\ntorch_dtype: float32");
    expect(recipe).toMatchObject({ max_length: 7, eval_strategy: "epoch", dtype: "float32", do_eval: true });
  });

  test("two names of a key have to agree in a file", () => {
    expect(problemsOf(() => sft("max_length: 8\nmax_seq_length: 7"))).toEqual([
      "max_seq_length: 7, but max_length, which is the same key, is 8 (a.yaml:5)",
    ]);
    expect(sft("max_length: 7\nmax_seq_length: 7").recipe.max_length).toBe(7);
  });

  test("every name of AdamW is adamw, and other optimizers keep theirs", () => {
    for (const name of ["adamw_torch", "adamw_torch_fused", "adamw_hf"]) {
      expect(sft(`optim: ${name}`).recipe.optim).toBe("adamw");
    }
    for (const name of ["adamw_8bit", "adamw_bnb_8bit", "paged_adamw_8bit"]) {
      expect(sft(`optim: ${name}`).recipe.optim).toBe("adamw_8bit");
    }
    expect(sft("optim: rmsprop").recipe.optim).toBe("rmsprop");
  });

  test.each([
    ["packing: true", true, "bfd"],
    ["packing: yes", true, "bfd"],
    ["packing: false", false, "bfd"],
    ["packing: wrapped", true, "wrapped"],
    ["packing: bfd_split", true, "bfd_split"],
    ["packing: true\npacking_strategy: ffd", true, "bfd"],
    ["packing_strategy: wrapped", false, "wrapped"],
  ])("%j", (text, packing, packing_strategy) => {
    expect(sft(text).recipe).toMatchObject({ packing, packing_strategy });
  });

  test("a bare no is a strategy, and yes and off are flags", () => {
    const { recipe } = sft("eval_strategy: no\nsave_strategy: false\nbf16: yes\nreport: off");
    expect(recipe).toMatchObject({ eval_strategy: "no", save_strategy: "no", bf16: true, report: false });
  });

  test("chunked_nll is nll; a list of one loss is that loss", () => {
    expect(sft("loss_type: chunked_nll").recipe.loss_type).toBe("nll");
    expect(dpo("loss_type: sigmoid").recipe.loss_type).toEqual(["sigmoid"]);
    expect(dpo("loss_type: [ipo, sft]").recipe.loss_type).toEqual(["ipo", "sft"]);
  });

  test("settings of the schedule may be left empty", () => {
    const none = { min_lr: null, min_lr_rate: null, num_cycles: null, timescale: null };
    expect(sft("lr_scheduler_kwargs: null").recipe.lr_scheduler_kwargs).toEqual(none);
    expect(sft("lr_scheduler_kwargs: {}").recipe.lr_scheduler_kwargs).toEqual(none);
  });

  test("a warmup below one step is a ratio", () => {
    expect(sft("warmup_steps: 0.1").recipe).toMatchObject({ warmup_ratio: 0.1, warmup_steps: 0 });
    expect(sft("warmup_steps: 100\nwarmup_ratio: 0.1").recipe).toMatchObject({ warmup_ratio: 0.1, warmup_steps: 100 });
  });
});

describe("problems", () => {
  test("are all told, each with what was found, what was expected and its line", () => {
    const text = [
      "lerning_rate: 1e-5",
      "max_steps: 0",
      "warmup_ratio: 1.5",
      "seed: x",
      "bf16: 3",
      "lr_scheduler_type: cosin",
      "adam_beta1: .nan",
      "dataset_splits: [validation]",
      "beta: 0.1",
    ].join("\n");
    expect(problemsOf(() => sft(text))).toEqual([
      "lerning_rate: unknown key, did you mean learning_rate? (a.yaml:4)",
      "beta: a key of dpo recipes, this is an sft recipe (a.yaml:12)",
      "bf16: 3, expected true or false, or null (a.yaml:8)",
      'dataset_splits: ["validation"], expected a list of split names, each with "train" or "test" in it, or null (a.yaml:11)',
      "max_steps: 0, expected a positive integer, or -1 (a.yaml:5)",
      'lr_scheduler_type: "cosin", expected one of linear, cosine, cosine_with_min_lr, constant, constant_with_warmup, inverse_sqrt; did you mean cosine? (a.yaml:9)',
      "warmup_ratio: 1.5, expected a number >= 0 and <= 1 (a.yaml:6)",
      "adam_beta1: NaN, expected a number >= 0 and < 1 (a.yaml:10)",
      'seed: "x", expected an integer >= 0 (a.yaml:7)',
    ]);
    expect(thrown(() => sft(text)).key).toBe("lerning_rate");
  });

  test("inside a mapping name the entry", () => {
    const text = `
dataset_mixture:
  datasets:
    - id: a.jsonl
      wieght: 1
    - weight: 2
  sead: 1
`;
    const run = () => sft(text.replace("\n", ""), "--dataset_mixture.test_split_size=0");
    expect(problemsOf(run)).toEqual([
      "dataset_mixture.datasets.0.wieght: unknown key, did you mean weight?",
      "dataset_mixture.datasets.1.id: missing, expected a file, a folder or a name on the hub",
      "dataset_mixture.datasets.1.weight: 2, expected a number >= 0 and <= 1, or null",
      "dataset_mixture.test_split_size: 0, expected a number of rows, or a share between 0 and 1, or null",
      "dataset_mixture.sead: unknown key, did you mean seed?",
    ]);
  });

  test("what is needed is missed", () => {
    expect(problemsOf(() => parseRecipe("sft", { text: "seed: 1" }))).toEqual([
      "model_name_or_path: missing, expected the folder of a model, or its name on the hub",
      "output_dir: missing, expected a folder to write to",
    ]);
    expect(problemsOf(() => parseRecipe("sft", { text: "model_name_or_path: m\noutput_dir: o" }))).toEqual([
      "dataset_name: missing, expected one of dataset_name, dataset_mixer, dataset_mixture",
    ]);
  });

  test.each([
    ["dataset_mixer: {a: 1}", "dataset_mixer: given beside dataset_name, expected one of the two (a.yaml:4)"],
    [
      "dataset_splits: [train]\ndataset_test_split: test",
      "dataset_test_split: given beside dataset_splits, expected one way of naming splits (a.yaml:5)",
    ],
    [
      "lr_scheduler_type: cosine_with_min_lr",
      "lr_scheduler_kwargs: neither min_lr nor min_lr_rate, expected one of them for cosine_with_min_lr",
    ],
    [
      "max_prompt_length: 512\nmax_length: 512",
      "max_prompt_length: 512, expected less than max_length (512), or no token of an answer is left (a.yaml:4)",
    ],
    ["loss_type: [ipo, ipo]", "loss_type: ipo, ipo, expected no loss twice (a.yaml:4)"],
  ])("%j contradicts itself", (text, problem) => {
    expect(problemsOf(() => dpo(text))).toEqual([problem]);
  });

  test("a last learning rate needs a first one", () => {
    const schedule = "lr_scheduler_type: cosine_with_min_lr\nlr_scheduler_kwargs: {min_lr: 1.0e-6}";
    expect(problemsOf(() => dpo(`${schedule}\nlearning_rate: 0`))).toEqual([
      "learning_rate: 0, expected more for a min_lr (a.yaml:6)",
    ]);
  });

  test("packing that cuts needs a length to cut at", () => {
    expect(problemsOf(() => sft("packing: wrapped\nmax_length: null"))).toEqual([
      "max_length: null, expected a number of tokens for packing_strategy wrapped to cut at (a.yaml:5)",
    ]);
    expect(sft("packing: true\nmax_length: null").recipe.max_length).toBe(null);
  });

  test.each([
    ["beta", [1e-9], [0, -1, "x", null, []]],
    ["label_smoothing", [0, 0.49], [0.5, -0.1]],
    ["learning_rate", [0, 1e-9], [-1e-9]],
    ["warmup_ratio", [0, 1], [1.01]],
    ["adam_beta2", [0, 0.999], [1]],
    ["adam_epsilon", [1e-12], [0]],
    ["max_steps", [-1, 1], [0, -2, 1.5]],
    ["max_length", [1, null], [0, 1.5, "long"]],
    ["save_steps", [0.05, 1, 500], [0, 1.5, -1]],
    ["num_train_epochs", [0.1, 3], [0, Number.POSITIVE_INFINITY]],
    ["report_samples", [0], [-1]],
    ["resume_from_checkpoint", [true, "no", "folder"], [3, null, ""]],
    ["save_total_limit", [1, null], [0]],
    ["dataset_splits", [["train"], "test_sft", null], [[], "dev", 3]],
    ["overwrite_output_dir", [true, "yes"], ["maybe", 1, null]],
  ])("bounds of %s", (key, good, bad) => {
    const read = (value: unknown) =>
      dpo(`${key}: ${value === Number.POSITIVE_INFINITY ? ".inf" : JSON.stringify(value)}`);
    for (const value of good) expect(() => read(value)).not.toThrow();
    for (const value of bad)
      expect(problemsOf(() => read(value))).toEqual([expect.stringMatching(/, expected .* \(a\.yaml:4\)$/)]);
  });

  test("no key can reach what every object has", () => {
    expect(problemsOf(() => sft("__proto__: {x: 1}\nconstructor: 1"))).toEqual([
      "__proto__: unknown key (a.yaml:4)",
      "constructor: unknown key (a.yaml:5)",
    ]);
    expect(problemsOf(() => sft("", "--__proto__.x=1"))).toEqual(["__proto__: unknown key"]);
  });
});

describe("text that is not a recipe", () => {
  const parse = (text: string) => problemsOf(() => parseRecipe("sft", { path: "a.yaml", text }));

  test("keys given twice are told with line and column", () => {
    expect(parse("seed: 1\nbeta: 2\nseed: 3\n")).toEqual(["a.yaml:3:1: seed is given twice"]);
  });

  test("YAML errors are told with line and column", () => {
    expect(parse("seed: [1,\n")[0]).toMatch(/^a\.yaml:2:1: flow sequence/);
    expect(parse("a: 1\n b: 2\n")[0]).toMatch(/^a\.yaml:\d+:\d+: /);
  });

  test("a list or a word is not a mapping", () => {
    expect(parse("- a")).toEqual(["a.yaml: a list, expected a mapping of keys to values"]);
    expect(parse("hello")).toEqual(['a.yaml: "hello", expected a mapping of keys to values']);
  });

  test("a tree of aliases is refused before it fills the memory", () => {
    const lines = ["x0: &x0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"];
    for (let i = 1; i < 9; i++)
      lines.push(
        `x${i}: &x${i} [${Array(10)
          .fill(`*x${i - 1}`)
          .join(", ")}]`,
      );
    expect(parse(lines.join("\n"))[0]).toMatch(/^a\.yaml: .*alias/i);
  });

  test("a missing file is a file error", () => {
    expect(thrown(() => parseRecipe("sft", { path: "no/such.yaml" }))).toMatchObject({
      code: "ERR_FILE",
      message: "no/such.yaml: no such file, expected a recipe",
    });
    expect(thrown(() => parseRecipe("sft", { path: "test" })).message).toBe("test: is a folder, expected a recipe");
  });
});

describe("what is said beside the recipe", () => {
  test("ignored keys are listed once, with a reason, whatever their value", () => {
    const { ignored } = sft(
      "hub_model_id: x\ngradient_checkpointing_kwargs: {use_reentrant: false}",
      "--hub_model_id=y",
    );
    expect(ignored).toEqual([
      "hub_model_id: nothing is uploaded",
      "gradient_checkpointing_kwargs: it changes memory, not the result",
    ]);
  });

  test("precision wishes are noted by the names they were given", () => {
    expect(sft("torch_dtype: bfloat16\nbf16: true\nfp16: false").notes).toEqual([]);
    expect(sft("torch_dtype: float16\ntf32: true").notes).toEqual([
      "torch_dtype: float16, tf32: true: not computed in; a GPU takes bfloat16, the CPU float32, unless dtype or bf16 says otherwise",
    ]);
  });

  test("differences from TRL and the handbook are noted", () => {
    expect(dpo("label_smoothing: 0.1").notes).toEqual([
      "label_smoothing: conservative DPO; TRL leaves it out of its sigmoid loss",
    ]);
    expect(sft("max_seq_length: 8").notes).toEqual([expect.stringMatching(/--packing=wrapped$/)]);
    expect(sft("max_seq_length: 8\npacking: wrapped").notes).toEqual([]);
    expect(sft("packing: true").notes).toEqual([expect.stringMatching(/^packing: a micro-batch is rows/)]);
    const mixer = parseRecipe("sft", { text: "model_name_or_path: m\noutput_dir: o\ndataset_mixer: {d: 1}" });
    expect(mixer.notes).toEqual([expect.stringMatching(/^auto_insert_empty_system_msg: false/)]);
  });
});
