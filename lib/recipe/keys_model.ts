import { flag, integer, oneOf, text } from "./values.js";

export const DTYPES = ["auto", "float32", "bfloat16", "float16"] as const;

export const modelKeys = {
  model_name_or_path: text("the folder of a model, or its name on the hub").describe(
    "Folder of the model to train: config.json, safetensors, tokenizer files; or its name on the hub. For dpo it is also the frozen reference.",
  ),
  model_revision: text()
    .nullable()
    .default(null)
    .describe("Branch, tag or commit of a model that is found on the hub; null: main."),
  tokenizer_name_or_path: text()
    .nullable()
    .default(null)
    .describe(
      "Folder of the tokenizer, or its name on the hub, at a revision as `owner/name@revision`; null: the model's own.",
    ),
  chat_template: text()
    .nullable()
    .default(null)
    .describe(
      "zephyr, chatml, llama2, llama3, mistral, or the source of a Jinja template; null: the tokenizer's own, or zephyr where it has none.",
    ),
  auto_insert_empty_system_msg: flag()
    .default(false)
    .describe(
      "Begin a conversation that has no system message with an empty one, if the template shows system messages. TRL never does; the alignment-handbook does unless told not to.",
    ),
  dtype: oneOf(DTYPES, { fp32: "float32", bf16: "bfloat16", fp16: "float16", float: "float32", half: "float16" })
    .nullable()
    .default(null)
    .describe(
      "bfloat16 or float32: what is computed in, and saved. Also spelt torch_dtype. Otherwise a GPU takes bfloat16 and the CPU float32. The optimiser keeps float32 weights in any case.",
    ),
  bf16: flag()
    .nullable()
    .default(null)
    .describe("true is dtype: bfloat16, false is dtype: float32, unless dtype itself is float32."),
  fp16: flag().default(false).describe("float16 is not computed in: true changes nothing."),
  tf32: flag().nullable().default(null).describe("TF32 is not used."),
  device: text()
    .default("auto")
    .describe("auto: a GPU if there is one, else the CPU; cpu; cuda or cuda:N, which never falls back."),
  threads: integer(1)
    .nullable()
    .default(null)
    .describe("CPU threads; null: one per core. Results do not depend on it."),
  recompute: oneOf(["auto", "none", "elementwise", "block"])
    .default("auto")
    .describe(
      "What the backward pass computes again instead of finding it kept; the numbers are the same. elementwise: what the norms give, a seventh less memory for hardly any work. block: all but each block's input, for a third more work. auto: as much as a GPU's memory needs.",
    ),
  token_budget: integer(1)
    .nullable()
    .default(null)
    .describe(
      "Tokens that go through the model at once; null: chosen by westwind. It changes memory and speed, not the result.",
    ),
};
