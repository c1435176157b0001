import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

import { generateText } from "../../lib/run/generate_text.js";
import { carryThrough, type Keys, refusal, temporaryFolder } from "./collect.js";
import { chatRows, makeModel, pairRows, writeJsonLines } from "./small_model.js";

// Each is refused before anything is written, with the place, what was found and what was expected.

const folder = temporaryFolder();
const model = await makeModel(join(folder, "model"));
const chats = writeJsonLines(join(folder, "chats.jsonl"), chatRows(8));
const pairs = writeJsonLines(join(folder, "pairs.jsonl"), pairRows(8));

let count = 0;

/** The error of a run, paths in it made short, and that it left no folder behind. */
async function refused(kind: "sft" | "dpo", keys: Keys): Promise<string> {
  const output = join(folder, `output-${count++}`);
  const dataset_name = kind === "sft" ? chats : pairs;
  const recipe = { model_name_or_path: model, dataset_name, output_dir: output, max_steps: 2, ...keys };
  const message = await refusal(carryThrough(kind, recipe));
  expect(existsSync(output)).toBe(false);
  return message.replaceAll(`${folder}/`, "");
}

/** A copy of the model with something wrong. */
function brokenModel(name: string, change: (folder: string) => void): Keys {
  const broken = join(folder, name);
  cpSync(model, broken, { recursive: true });
  change(broken);
  return { model_name_or_path: broken };
}

function withConfig(name: string, changes: Readonly<Record<string, unknown>>): Keys {
  return brokenModel(name, (broken) => {
    const path = join(broken, "config.json");
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), ...changes }));
  });
}

const without = (name: string) => brokenModel(`without-${name}`, (broken) => rmSync(join(broken, name)));

describe.each(["sft", "dpo"] as const)("a model for %s", (kind) => {
  const cases: readonly (readonly [what: string, keys: () => Keys, message: string])[] = [
    [
      "that is not there",
      () => ({ model_name_or_path: join(folder, "none") }),
      "FileError: none/config.json: no such file, expected a folder in Hugging Face's layout",
    ],
    [
      "without weights",
      () => without("model.safetensors"),
      "FileError: without-model.safetensors: no model.safetensors and no model.safetensors.index.json, expected either",
    ],
    [
      "without a tokenizer",
      () => without("tokenizer.json"),
      "FileError: without-tokenizer.json/tokenizer.json: is missing, expected the file of a Hugging Face tokenizer",
    ],
    [
      "with weights cut short",
      () => brokenModel("short", (broken) => truncateSync(join(broken, "model.safetensors"), 5000)),
      "FileError: short/model.safetensors: 5000 bytes long, expected 207504; it is cut short",
    ],
    [
      "with weights of other shapes",
      () => withConfig("shapes", { intermediate_size: 96, num_hidden_layers: 1 }),
      "ModelError: shapes: the weights are not those of config.json: model.layers.0.mlp.gate_proj.weight is [64,32], " +
        "expected [96,32], model.layers.0.mlp.up_proj.weight is [64,32], expected [96,32], " +
        "model.layers.0.mlp.down_proj.weight is [32,64], expected [32,96]; unexpected model.layers.1.input_layernorm.weight, " +
        "model.layers.1.mlp.down_proj.weight, model.layers.1.mlp.gate_proj.weight, model.layers.1.mlp.up_proj.weight, " +
        "model.layers.1.post_attention_layernorm.weight and 4 more",
    ],
    [
      "with a weight that is NaN",
      () =>
        brokenModel("nan", (broken) => {
          const path = join(broken, "model.safetensors");
          const bytes = readFileSync(path);
          bytes.writeUInt32LE(0x7fc00000, bytes.length - 4);
          writeFileSync(path, bytes);
        }),
      "ModelError: nan: model.norm.weight holds NaN or infinity, expected finite weights",
    ],
    [
      "of another architecture",
      () => withConfig("gpt2", { architectures: ["GPT2LMHeadModel"], model_type: "gpt2" }),
      'ModelError: gpt2/config.json: architectures: ["GPT2LMHeadModel"], expected [LlamaForCausalLM or MistralForCausalLM]',
    ],
  ];
  test.each(cases)("%s", async (_, keys, message) => {
    rmSync(join(folder, "short"), { recursive: true, force: true });
    expect(await refused(kind, keys())).toBe(message);
  });
});

test.each([
  [
    "an unknown key, the nearest suggested",
    { learning_rat: 1 },
    "learning_rat: unknown key, did you mean learning_rate?",
  ],
  ["a value of the wrong type", { learning_rate: "fast" }, 'learning_rate: "fast", expected a number >= 0'],
  [
    "no data set",
    { dataset_name: null },
    "dataset_name: missing, expected one of dataset_name, dataset_mixer, dataset_mixture",
  ],
  [
    "a template that has no name",
    { chat_template: "zephir" },
    'chat_template: "zephir", expected one of zephyr, chatml, llama2, llama3, mistral, default, or Jinja source',
  ],
  ["a device of no known name", { device: "gpu" }, 'device: "gpu", this version supports auto, cpu, cuda and cuda:N'],
])("a recipe with %s", async (_, keys, message) => {
  expect(await refused("sft", keys)).toBe(`ConfigError: ${message}`);
});

describe("data", () => {
  const written = (name: string, text: string): Keys => {
    writeFileSync(join(folder, name), text);
    return { dataset_name: join(folder, name) };
  };

  test("that is missing or empty", async () => {
    const missing = { dataset_name: join(folder, "none.jsonl") };
    expect(await refused("sft", missing)).toMatch(/^FileError: none.jsonl: is missing, expected a .jsonl/);
    const empty = "FileError: empty.jsonl: holds no rows, expected at least one";
    expect(await refused("sft", written("empty.jsonl", ""))).toBe(empty);
    expect(await refused("dpo", written("empty.jsonl", "\n\n"))).toBe(empty);
  });

  test("with a line that is no JSON", async () => {
    const text = `${JSON.stringify(chatRows(1)[0])}\n{"messages": [\n`;
    expect(await refused("sft", written("half.jsonl", text))).toMatch(
      /^DataError: half.jsonl:2: is not JSON: .*; expected one object a line$/,
    );
  });

  test("of the other method", async () => {
    expect(await refused("sft", { dataset_name: pairs })).toBe(
      'DataError: pairs.jsonl:1: found "prompt", "chosen", "rejected"; expected "messages", "prompt" with "completion", or "text"',
    );
    expect(await refused("dpo", { dataset_name: chats })).toBe(
      'DataError: chats.jsonl:1: found "messages"; expected "chosen" and "rejected"',
    );
  });

  test("whose prompts leave no room for answers", async () => {
    expect(await refused("dpo", { max_length: 8 })).toMatch(
      /^DataError: pairs.jsonl:1: max_length 8 leaves no room .* \(the longest has \d+ tokens\); expected a larger max_length, or a max_prompt_length below it$/,
    );
  });

  test("with prompts of which some leave no room: those are dropped, counted and said", async () => {
    const rows = pairRows(4);
    const long = { ...rows[0]!, prompt: "", chosen: [], rejected: [] } as Record<string, unknown>;
    const chat = (answer: string) => [
      { role: "user", content: "old ".repeat(60) },
      { role: "assistant", content: answer },
    ];
    Object.assign(long, { prompt: "old ".repeat(60), chosen: chat("goat"), rejected: chat("rain") });
    const dataset_name = writeJsonLines(join(folder, "some.jsonl"), [...rows, long]);
    const output_dir = join(folder, "some");
    const keys = { model_name_or_path: model, dataset_name, output_dir, max_length: 60, max_steps: 1 };
    const prepared = (await carryThrough("dpo", keys)).find(({ kind }) => kind === "prepared");
    expect(prepared).toMatchObject({
      facts: [
        ["training rows", 4],
        ["training rows dropped, with nothing left to learn", 1],
      ],
    });
  });

  test("too little for one row of a packed stream", async () => {
    const keys = { packing: true, packing_strategy: "wrapped", max_length: 5000 };
    expect(await refused("sft", keys)).toMatch(
      /^ConfigError: max_length: 5000, but packing_strategy wrapped cuts no row with something to learn from \d+ tokens, expected another/,
    );
    expect(await refused("sft", { max_length: 1 })).toBe(
      "DataError: chats.jsonl:1: this and every other row has nothing to learn within max_length 1",
    );
  });

  test("cut into pieces: what is left out is counted and said", async () => {
    const output_dir = join(folder, "cut");
    const keys = { model_name_or_path: model, dataset_name: chats, output_dir, max_length: 16, max_steps: 1 };
    const packing = { packing: true, packing_strategy: "wrapped" };
    const prepared = (await carryThrough("sft", { ...keys, ...packing })).find(({ kind }) => kind === "prepared");
    expect(prepared).toMatchObject({
      facts: [
        ["training rows", 8],
        ["rows of at most 16 tokens cut from them", expect.any(Number)],
        ["tokens left over, too few for a row", expect.any(Number)],
      ],
    });
  });

  test("cut into pieces: rows to evaluate on are cut as well", async () => {
    const dataset_name = join(folder, "split");
    mkdirSync(dataset_name);
    for (const split of ["train", "test"]) copyFileSync(chats, join(dataset_name, `${split}.jsonl`));
    const keys = { model_name_or_path: model, dataset_name, output_dir: join(folder, "measured"), max_length: 16 };
    const packing = { packing: true, packing_strategy: "wrapped", max_steps: 1, eval_strategy: "epoch" };
    const prepared = (await carryThrough("sft", { ...keys, ...packing })).find(({ kind }) => kind === "prepared");
    const facts = new Map((prepared as unknown as { facts: [string, number][] }).facts);
    expect(facts.get("evaluation rows")).toBeGreaterThan(8);
    expect([...facts.keys()].filter((fact) => fact.includes("longer than"))).toEqual([]);
  });

  test("without a split to evaluate on, where evaluation is asked for", async () => {
    const message = (key: string, name: string) =>
      `ConfigError: ${key}, but ${name} has no rows to evaluate on, expected a test split; use a folder with a file for it, ` +
      'dataset_mixture.test_split_size, or eval_strategy: "no"';
    expect(await refused("sft", { eval_strategy: "epoch" })).toBe(message("eval_strategy: epoch", "chats.jsonl"));
    mkdirSync(join(folder, "data"));
    cpSync(pairs, join(folder, "data", "train.jsonl"));
    const keys = { dataset_name: join(folder, "data"), do_eval: true };
    expect(await refused("dpo", keys)).toBe(message("do_eval: true", "data"));
  });

  test("with tokens that the model has no embedding for", async () => {
    const small = await makeModel(join(folder, "small"), { vocab_size: 500 });
    const message = (place: string, token: string) =>
      `DataError: ${place}:1: token ${token}, is not among the model's 500 (vocab_size in config.json); ` +
      "the tokenizer of small has 1024, expected the model's own";
    expect(await refused("sft", { model_name_or_path: small })).toBe(message("chats.jsonl", '792, "old"'));
    expect(await refused("dpo", { model_name_or_path: small })).toBe(message("pairs.jsonl", '532, "iver"'));
    const asked = await refusal(generateText(small, "the old miller", { maxNewTokens: 4 }));
    expect(asked).toBe("ConfigError: prompt: token 769, expected ids below 500");
  });

  test("longer than the model's positions is no error, but said", async () => {
    const short = await makeModel(join(folder, "positions"), { max_position_embeddings: 24 });
    const keys = { model_name_or_path: short, dataset_name: chats, max_steps: 1, output_dir: join(folder, "beyond") };
    const prepared = (await carryThrough("sft", keys)).find(({ kind }) => kind === "prepared");
    expect(prepared).toMatchObject({
      facts: [
        ["training rows", 8],
        ["training rows longer than the model's max_position_embeddings, 24", expect.any(Number)],
      ],
    });
  });
});

describe("an output folder", () => {
  const owned = join(folder, "owned");
  const mine = { model_name_or_path: model, dataset_name: chats, output_dir: owned, max_steps: 2, save_steps: 1 };

  test("of another run is refused with what differs, and stays as it is", async () => {
    await carryThrough("sft", mine);
    const before = readdirSync(owned).sort();
    const weights = readFileSync(join(owned, "model.safetensors"));
    expect(await refusal(carryThrough("sft", { ...mine, learning_rate: 5 }))).toBe(
      `ConfigError: output_dir: ${owned} belongs to another run: learning_rate was 0.00002, now 5; name another folder, ` +
        "or set overwrite_output_dir: true",
    );
    expect(await refusal(carryThrough("dpo", { ...mine, dataset_name: pairs }))).toMatch(
      /belongs to another run: task was "sft", now "dpo", /,
    );
    expect(readdirSync(owned).sort()).toEqual(before);
    expect(readFileSync(join(owned, "model.safetensors")).equals(weights)).toBe(true);
  });

  test("of a model that no run wrote is refused", async () => {
    expect(await refusal(carryThrough("sft", { ...mine, output_dir: model }))).toMatch(
      /^ConfigError: output_dir: .*model holds config.json, which no run here wrote; name another folder/,
    );
  });

  test("that is a file", async () => {
    expect(await refusal(carryThrough("sft", { ...mine, output_dir: chats }))).toBe(
      `FileError: ${chats}: a file is there, expected a folder`,
    );
  });

  test.runIf(process.platform === "linux")("that the file system does not make", async () => {
    expect(await refusal(carryThrough("sft", { ...mine, output_dir: "/proc/none/out" }))).toBe(
      "FileError: /proc/none/out: cannot be made: the file system there takes no folders",
    );
  });

  test("without a checkpoint to resume from, or with one of another run", async () => {
    expect(await refused("sft", { resume_from_checkpoint: true })).toMatch(
      /^ConfigError: resume_from_checkpoint: true, but output-\d+ holds no complete checkpoint$/,
    );
    expect(await refused("sft", { resume_from_checkpoint: join(folder, "none") })).toBe(
      "ConfigError: resume_from_checkpoint: none/manifest.json: no such file, so this is not a complete checkpoint",
    );
    expect(await refused("sft", { resume_from_checkpoint: join(owned, "checkpoint-1"), learning_rate: 5 })).toMatch(
      /^ConfigError: resume_from_checkpoint: owned\/checkpoint-1 is of another run \(\w+, this one is \w+\); its model, data or settings differ$/,
    );
  });

  test("with a checkpoint that lost a part of a file is not resumed from", async () => {
    truncateSync(join(owned, "checkpoint-2", "optimizer.safetensors"), 1000);
    const path = join(owned, "checkpoint-2");
    expect(await refusal(carryThrough("sft", { ...mine, resume_from_checkpoint: path }))).toMatch(
      /^ConfigError: resume_from_checkpoint: .*checkpoint-2\/optimizer.safetensors: 1000 bytes long, expected \d+ bytes as manifest.json says$/,
    );
    const events = await carryThrough("sft", { ...mine, resume_from_checkpoint: true }); // from the one before
    expect(events.filter(({ kind }) => kind === "step").length).toBe(1);
  });
});

test("a run that diverges stops before a weight changes, and leaves no model", async () => {
  const output = join(folder, "diverged");
  const keys = {
    model_name_or_path: model,
    dataset_name: chats,
    output_dir: output,
    learning_rate: 1e30,
    max_grad_norm: 0,
  };
  expect(await refusal(carryThrough("sft", { ...keys, max_steps: 20 }))).toMatch(
    /^DivergedError: step 2: loss [\d.]+|NaN, gradient norm NaN; the weights are unchanged$/,
  );
  expect(readdirSync(output).sort()).toEqual(["log.jsonl", "run.json"]);
});
