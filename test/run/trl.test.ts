import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

import { encodeSft } from "../../lib/data/encode.js";
import { encodePairs } from "../../lib/data/encode_pairs.js";
import { toPreferencePair, toSftRow } from "../../lib/data/row.js";
import { loadRows } from "../../lib/data/source.js";
import type { RunEvent } from "../../lib/run/events.js";
import { resolveChatTemplate } from "../../lib/text/chat_template.js";
import { Tokenizer } from "../../lib/text/tokenizer.js";
import { readJsonLines, sharedData } from "../shared_data.js";
import { TEST_DEVICE } from "../test_device.js";
import { carryThrough, type Keys, logged, temporaryFolder } from "./collect.js";

// What TRL 1.13 logged on the same rows, unrounded (trl_runs.py, docs/numerics.md).

const folder = temporaryFolder();
const models = sharedData("models");
const stories = sharedData("stories");
const ROWS = 160; // enough for 20 steps of 8

type Line = Readonly<Record<string, number>>;
interface Golden {
  readonly settings: { readonly rows: number; readonly eval_batch_losses?: readonly number[] };
  readonly lines: readonly Line[];
}

function golden(name: string): Golden {
  const [head, ...lines] = readJsonLines<Record<string, unknown>>(`test/golden/trl/${name}.jsonl`);
  return { settings: head!.settings, lines } as Golden;
}

/** The settings of the recorded runs. */
function recipe(name: string, keys: Keys): Keys {
  return {
    model_name_or_path: join(models!, name.includes("260k") ? "stories-260k" : "tinystories-656k"),
    chat_template: "zephyr",
    data_order: "sequential",
    max_train_samples: ROWS,
    max_steps: 20,
    per_device_train_batch_size: 8,
    learning_rate: 1e-4,
    max_length: 512,
    logging_steps: 1,
    save_strategy: "no",
    output_dir: join(folder, name),
    device: TEST_DEVICE,
    dtype: "float32",
    ...keys,
  };
}

const fileOf = (kind: "sft" | "dpo", split: string) =>
  join(stories!, `${kind === "sft" ? "sft" : "preferences"}_${split}.jsonl`);

// Relative to the value, or absolute where values pass through 0. Both sides compute in f32, in other orders; they were
// 7e-6 apart in loss and gradient norm, 1e-5 in rewards.
const RELATIVE: Line = { loss: 1e-4, grad_norm: 1e-3, entropy: 1e-5, learning_rate: 1e-12, num_tokens: 0, step: 0 };
const ABSOLUTE: Line = {
  mean_token_accuracy: 1e-3, // one label of a step's thousand may turn over
  "rewards/chosen": 1e-4,
  "rewards/rejected": 1e-4,
  "rewards/margins": 1e-4,
  "rewards/accuracies": 1e-6,
  "logps/chosen": 1e-3,
  "logps/rejected": 1e-3,
  "logits/chosen": 1e-5,
  "logits/rejected": 1e-5,
};

// Before the first update the policy is the reference, so that every margin is 0 or, where the reference's pass had other
// shapes and a library adds in another order for them, its rounding. Which side a tie falls to says nothing.
const isTie = (line: number, key: string) =>
  TEST_DEVICE.startsWith("cuda") && key === "rewards/accuracies" && line === 0;

/** What of `expected` is not met by `actual`: `step 3 loss: 1.2, expected 1.1`. */
function differences(actual: readonly Line[], expected: readonly Line[], keys: readonly string[], rows: number) {
  const found: string[] = [];
  expected.forEach((line, i) => {
    for (const key of ["step", "epoch", ...keys]) {
      const value = actual[i]?.[key] ?? Number.NaN;
      const wanted = key === "epoch" ? (line.epoch! * rows) / ROWS : line[key]!;
      const tolerance = ABSOLUTE[key] ?? (RELATIVE[key] ?? 1e-12) * Math.abs(wanted);
      if (!(Math.abs(value - wanted) <= tolerance) && !isTie(i, key))
        found.push(`step ${line.step} ${key}: ${value}, expected ${wanted}`);
    }
  });
  return found.join("\n");
}

const isStep = (line: Line) => "loss" in line;
const SHARED = ["loss", "grad_norm", "learning_rate", "num_tokens"];
const PER_TOKEN = ["entropy", "mean_token_accuracy"];
const PER_PAIR = ["rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins"].concat([
  "logps/chosen",
  "logps/rejected",
]);
const LOGITS = ["logits/chosen", "logits/rejected"];

describe.skipIf(models === undefined || stories === undefined)("the numbers of TRL", () => {
  test.each(["sft-stories-260k", "sft-tinystories-656k"])("20 steps of %s", async (name) => {
    const { lines, settings } = golden(name);
    const events = await carryThrough("sft", recipe(name, { dataset_name: fileOf("sft", "train") }));
    expect(differences(logged(events), lines.filter(isStep), [...SHARED, ...PER_TOKEN], settings.rows)).toBe("");
  });

  test.each(["dpo-stories-260k", "dpo-tinystories-656k"])("20 steps of %s", async (name) => {
    const { lines, settings } = golden(name);
    const events = await carryThrough("dpo", recipe(name, { dataset_name: fileOf("dpo", "train") }));
    const keys = [...SHARED, ...PER_TOKEN, ...PER_PAIR, ...LOGITS];
    expect(differences(logged(events), lines.filter(isStep), keys, settings.rows)).toBe("");
  });

  // Forward passes see weights rounded to bf16, so that single steps scatter around those in f32 by some percent. (The
  // weights of tinystories-656k are bf16 numbers to begin with: there small updates stay unseen for many steps.)
  test("20 steps in bf16 follow those in f32, and repeat", async () => {
    const name = "dpo-stories-260k";
    const { lines } = golden(name);
    const run = async (output: string) => {
      const keys = { dtype: "bfloat16", dataset_name: fileOf("dpo", "train"), output_dir: join(folder, output) };
      const events = await carryThrough("dpo", recipe(name, keys));
      const prepared = events.find((event) => event.kind === "prepared");
      expect(prepared?.device).toMatch(/, bf16$/);
      return logged(events).map(({ loss }) => loss!);
    };
    const losses = await run("bf16");
    const expected = lines.filter(isStep).map(({ loss }) => loss!);
    const apart = losses.map((loss, i) => loss / expected[i]! - 1);
    expect(apart.filter((difference) => !(Math.abs(difference) <= 0.1))).toEqual([]);
    expect(Math.max(...apart.map(Math.abs))).toBeGreaterThan(1e-3); // which float32 would not reach
    expect(Math.abs(apart.reduce((sum, difference) => sum + difference, 0) / apart.length)).toBeLessThan(0.02);
    expect(await run("bf16-again")).toEqual(losses);
  });

  test.each([
    { optim: "adamw_bf16", most: 2e-4, mean: 2e-5 },
    { optim: "adamw_8bit", most: 5e-3, mean: 5e-4 },
    { optim: "adamw_8bit", dtype: "bfloat16", master_weights: false, most: 0.15, mean: 0.02 },
  ])("20 steps with %o follow those of f32 moments", async ({ most, mean, ...layout }) => {
    const name = "dpo-stories-260k";
    const keys = { ...layout, dataset_name: fileOf("dpo", "train"), output_dir: join(folder, JSON.stringify(layout)) };
    const losses = logged(await carryThrough("dpo", recipe(name, keys))).map(({ loss }) => loss!);
    const expected = golden(name)
      .lines.filter(isStep)
      .map(({ loss }) => loss!);
    const apart = losses.map((loss, i) => loss / expected[i]! - 1);
    expect(Math.max(...apart.map(Math.abs))).toBeLessThan(most);
    expect(Math.max(...apart.map(Math.abs))).toBeGreaterThan(1e-5);
    expect(Math.abs(apart.reduce((sum, difference) => sum + difference, 0) / apart.length)).toBeLessThan(mean);
  });

  // Beyond one micro-batch a line, TRL's other means are of micro-batches, ours of what they are over.
  test.each(["sft-tinystories-656k-accum2", "dpo-tinystories-656k-accum2"])(
    "two micro-batches a step: %s",
    async (name) => {
      const kind = name.startsWith("sft") ? "sft" : "dpo";
      const { lines, settings } = golden(name);
      const split = { max_steps: 8, per_device_train_batch_size: 4, gradient_accumulation_steps: 2 };
      const events = await carryThrough(kind, recipe(name, { dataset_name: fileOf(kind, "train"), ...split }));
      const keys = kind === "sft" ? SHARED : [...SHARED, ...PER_PAIR];
      expect(differences(logged(events), lines.filter(isStep), keys, settings.rows)).toBe("");
    },
  );

  test.each(["sft-tinystories-656k-window", "dpo-tinystories-656k-window"])(
    "a line every 4 steps, and an evaluation: %s",
    async (name) => {
      const kind = name.startsWith("sft") ? "sft" : "dpo";
      const data = join(folder, `${kind}-data`);
      mkdirSync(data);
      for (const split of ["train", "test"]) symlinkSync(fileOf(kind, split), join(data, `${split}.jsonl`));
      const { lines, settings } = golden(name);
      const split = { max_steps: 8, per_device_train_batch_size: 4, gradient_accumulation_steps: 2, logging_steps: 4 };
      const evaluation = { do_eval: true, max_eval_samples: kind === "sft" ? 8 : 20 };
      const events = await carryThrough(kind, recipe(name, { dataset_name: data, ...split, ...evaluation }));
      const keys = kind === "sft" ? SHARED : [...SHARED, ...PER_PAIR];
      expect(differences(logged(events), lines.filter(isStep), keys, settings.rows)).toBe("");

      // TRL's loss of several batches is their mean by rows: the same for pairs, for text only within one batch.
      const measured = evaluations(events);
      const wanted =
        kind === "sft" ? settings.eval_batch_losses![0]! : lines.find((line) => "eval_loss" in line)!.eval_loss!;
      expect(measured.length).toBe(1);
      expect(Math.abs(measured[0]!.eval_loss! / wanted - 1)).toBeLessThan(1e-4);
    },
  );

  test("answers only, by the template's generation blocks", async () => {
    const name = "sft-tinystories-656k-assistant";
    const { lines, settings } = golden(name);
    const keys = { dataset_name: fileOf("sft", "train"), assistant_only_loss: true, chat_template: MARKED };
    const events = await carryThrough("sft", recipe(name, keys));
    expect(differences(logged(events), lines.filter(isStep), [...SHARED, ...PER_TOKEN], settings.rows)).toBe("");
  });

  test("completions only", async () => {
    const name = "sft-tinystories-656k-completion";
    const { lines, settings } = golden(name);
    const file = join(folder, "completions.jsonl");
    const rows = readJsonLines<{ messages: unknown[] }>(fileOf("sft", "train")).slice(0, ROWS);
    const split = rows.map(({ messages }) => ({ prompt: messages.slice(0, -1), completion: messages.slice(-1) }));
    writeFileSync(file, split.map((row) => `${JSON.stringify(row)}\n`).join(""));
    const events = await carryThrough("sft", recipe(name, { dataset_name: file }));
    expect(differences(logged(events), lines.filter(isStep), [...SHARED, ...PER_TOKEN], settings.rows)).toBe("");
  });
});

const evaluations = (events: readonly RunEvent[]) =>
  events.flatMap((event) => (event.kind === "step" && event.evaluation ? [event.evaluation] : []));

// Zephyr's template with TRL's marks around what the assistant says, the newline after it outside.
const MARKED = `{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\n' }}{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}

{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}`;

interface Tokens {
  readonly rows: number;
  readonly kept: number;
  readonly max_length: number;
  readonly longer_than_max_length: readonly number[];
  readonly first: readonly {
    readonly row: number;
    readonly input_ids?: readonly number[];
    readonly trainable?: readonly number[];
    readonly prompt_ids?: readonly number[];
    readonly chosen_ids?: readonly number[];
    readonly rejected_ids?: readonly number[];
  }[];
}

describe.skipIf(models === undefined || stories === undefined)("the tokens of TRL", () => {
  const read = (name: string) => JSON.parse(readFileSync(`test/golden/trl/tokens-${name}.json`, "utf8")) as Tokens;
  const optionsFor = async (name: string, chatTemplate: string, maxLength: number) => {
    const tokenizer = await Tokenizer.load(join(models!, name.includes("260k") ? "stories-260k" : "tinystories-656k"));
    return { tokenizer, template: resolveChatTemplate(chatTemplate, tokenizer), maxLength };
  };

  test.each(["sft-stories-260k", "sft-tinystories-656k"])(
    "%s: every row kept or cut as there, the first ones id by id",
    async (name) => {
      const tokens = read(name);
      const rows = (await loadRows(fileOf("sft", "train"))).map((row) => toSftRow(row));
      const { sequences, truncated } = encodeSft(rows, await optionsFor(name, "zephyr", tokens.max_length));
      expect([rows.length, sequences.length, truncated]).toEqual([
        tokens.rows,
        tokens.kept,
        tokens.longer_than_max_length.length,
      ]);
      expect(tokens.first.map(({ row }) => [...sequences[row]!.ids])).toEqual(
        tokens.first.map(({ input_ids }) => input_ids),
      );
    },
  );

  test.each(["dpo-stories-260k", "dpo-tinystories-656k"])(
    "%s: every pair kept or cut as there, the first ones id by id",
    async (name) => {
      const tokens = read(name);
      const rows = (await loadRows(fileOf("dpo", "train"))).map(toPreferencePair);
      const { pairs, truncated } = encodePairs(rows, await optionsFor(name, "zephyr", tokens.max_length));
      expect([rows.length, pairs.length, truncated]).toEqual([
        tokens.rows,
        tokens.kept,
        tokens.longer_than_max_length.length,
      ]);
      const found = tokens.first
        .map(({ row }) => pairs[row]!)
        .map(({ prompt, chosen, rejected }) => [[...prompt], [...chosen], [...rejected]]);
      expect(found).toEqual(
        tokens.first.map(({ prompt_ids, chosen_ids, rejected_ids }) => [prompt_ids, chosen_ids, rejected_ids]),
      );
    },
  );

  test.each([
    ["assistant", MARKED],
    ["completion", "zephyr"],
  ] as const)("sft-tinystories-656k-%s: which tokens are learned", async (form, template) => {
    const tokens = read(`sft-tinystories-656k-${form}`);
    const rows = (await loadRows(fileOf("sft", "train"), { limit: 16 })).map((row) => {
      const messages = row.fields.messages as unknown[];
      const fields =
        form === "assistant" ? { messages } : { prompt: messages.slice(0, -1), completion: messages.slice(-1) };
      return toSftRow({ ...row, fields });
    });
    const options = await optionsFor("tinystories-656k", template, tokens.max_length);
    const { sequences } = encodeSft(rows, { ...options, assistantOnlyLoss: form === "assistant" });
    const found = sequences.map(({ ids, trainable }) => ({ input_ids: [...ids], trainable: [...trainable] }));
    expect(found).toEqual(tokens.first.map(({ input_ids, trainable }) => ({ input_ids, trainable })));
  });
});
