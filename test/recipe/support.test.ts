import { expect, test } from "vitest";
import { parseRecipe } from "../../lib/recipe/parse.js";
import { checkSupported } from "../../lib/recipe/support.js";
import { problemsOf, thrown } from "./errors.js";

const NEEDED = ["--model_name_or_path=m", "--dataset_name=d.jsonl", "--output_dir=out"];
const check = (kind: "sft" | "dpo", ...overrides: string[]) =>
  checkSupported(parseRecipe(kind, { overrides: [...NEEDED, ...overrides] }).recipe);

test("defaults are supported", () => {
  check("sft");
  check("dpo");
  check("dpo", "--device=cpu", "--optim=adamw_torch_fused", "--loss_type=[sigmoid]", "--label_smoothing=0.1");
  check("sft", "--lora_r=64", "--loss_type=chunked_nll", "--dataset_config=default");
});

test.each([
  ["dpo", "--optim=rmsprop", 'optim: "rmsprop", this version supports AdamW; use --optim=adamw_torch'],
  [
    "sft",
    "--optim=adamw_torch_4bit",
    'optim: "adamw_torch_4bit", this version supports AdamW; use --optim=adamw_torch',
  ],
  ["sft", "--load_in_4bit", "load_in_4bit: true, this version supports false; use --load_in_4bit=false"],
  ["dpo", "--loss_type=kto_pair", 'loss_type: "kto_pair", this version supports sigmoid; use --loss_type=sigmoid'],
  [
    "dpo",
    "--loss_type=[sigmoid, sft]",
    'loss_type: ["sigmoid","sft"], this version supports sigmoid; use --loss_type=sigmoid',
  ],
  ["dpo", "--sync_ref_model", "sync_ref_model: true, this version supports false"],
  ["dpo", "--rpo_alpha=1", "rpo_alpha: 1, this version supports null"],
  ["sft", "--loss_type=dft", 'loss_type: "dft", this version supports nll'],
  ["sft", "--device=gpu", 'device: "gpu", this version supports auto, cpu, cuda and cuda:N'],
  ["sft", "--save_strategy=best", 'save_strategy: "best", this version supports no, epoch, steps'],
  ["sft", "--neftune_noise_alpha=5", "neftune_noise_alpha: 5, this version supports null"],
] as const)("%s %s", (kind, override, problem) => {
  expect(problemsOf(() => check(kind, override))).toEqual([problem]);
});

test("schedules, configurations and adapters name what is supported", () => {
  expect(problemsOf(() => check("sft", "--lr_scheduler_type=polynomial"))[0]).toMatch(/supports linear, cosine, /);
  expect(problemsOf(() => check("sft", "--use_peft"))[0]).toMatch(
    /^use_peft: true, this version supports false; train all/,
  );
  const mixture = "--dataset_mixture={datasets: [{id: a}, {id: b, config: SFT}, {id: c, config: SFT}]}";
  const run = () => checkSupported(parseRecipe("sft", { overrides: [NEEDED[0]!, NEEDED[2]!, mixture] }).recipe);
  expect(problemsOf(run)).toEqual([expect.stringMatching(/^dataset_mixture\.datasets\.1\.config: "SFT"/)]);
});

test("all is told at once, and the error names the first key", () => {
  const run = () => check("dpo", "--use_peft", "--optim=rmsprop", "--loss_type=ipo");
  expect(problemsOf(run).map((line) => line.split(":")[0])).toEqual(["optim", "loss_type", "use_peft"]);
  expect(thrown(run)).toMatchObject({ code: "ERR_CONFIG", key: "optim" });
});
