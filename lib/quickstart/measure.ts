import { loadModel } from "../checkpoint/load_model.js";
import { encodeSft } from "../data/encode.js";
import { encodePairs } from "../data/encode_pairs.js";
import { toPreferencePair, toSftRow } from "../data/row.js";
import { loadRows } from "../data/source.js";
import { generate } from "../generate/generate.js";
import type { Llama } from "../model/llama.js";
import { Device } from "../tensor/device.js";
import { resolveChatTemplate } from "../text/chat_template.js";
import { Tokenizer } from "../text/tokenizer.js";
import { DpoTask } from "../train/dpo.js";
import { SftTask } from "../train/sft.js";
import type { QuickstartData } from "./data.js";
import { judgeAnswer } from "./judge.js";

const TOKEN_BUDGET = 8192;
const MAX_NEW_TOKENS = 96;

/** How a model does on held-out prompts. */
export interface Measures {
  /** Mean of the judge's overall score, 1 to 10, of answers sampled at temperature 0.7. */
  readonly judge: number;
  /** Share of pairs whose better answer the model finds likelier. */
  readonly preference: number;
  /** DPO's implicit reward against the dSFT model: share of pairs in the right order, and mean difference. */
  readonly reward: { readonly accuracy: number; readonly margin: number };
  /** Of the better answers of the pairs, per token. */
  readonly perplexity: number;
  readonly answers: readonly string[];
}

/** Summed log-probabilities of both answers of every pair. */
export type PairLogProbs = readonly { readonly refChosen: number; readonly refRejected: number }[];

/** Measures the model of a folder. `reference` are the dSFT model's log-probabilities, once they are known. */
export async function measureModel(
  folder: string,
  data: QuickstartData,
  options: {
    readonly beta: number;
    readonly reference?: PairLogProbs | undefined;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<Measures & { readonly prompts: readonly string[]; readonly logProbs: PairLogProbs }> {
  using device = Device.cpu();
  using model = await loadModel(device, folder, { dtype: "f32", trainable: false });
  const tokenizer = await Tokenizer.load(folder);
  const template = resolveChatTemplate("zephyr", tokenizer);
  const rows = (await loadRows(data.heldOutPairs)).map(toPreferencePair);
  const { pairs } = encodePairs(rows, { tokenizer, template, maxLength: 256 });

  const logProbs = await pairLogProbs(model, pairs);
  const prompts = rows.map(({ prompt }) => (typeof prompt === "string" ? prompt : prompt.at(-1)!.content));
  const opened = prompts.map((content) =>
    tokenizer.encode(template.render([{ role: "user", content }], { addGenerationPrompt: true })),
  );
  const { signal } = options;
  const sampling = { maxNewTokens: MAX_NEW_TOKENS, temperature: 0.7, seed: 1, stopTokens: [tokenizer.eosId!], signal };
  const answers = (await generate(model, opened, sampling)).map(({ ids }) => tokenizer.decode(ids).trim());

  using task = new SftTask(model, { tokenBudget: TOKEN_BUDGET });
  const better = rows.map((row) => {
    const messages = [
      ...(row.prompt as { role: string; content: string }[]),
      ...(row.chosen as { role: string; content: string }[]),
    ];
    return toSftRow({ ...row.place, fields: { messages } });
  });
  const { sequences } = encodeSft(better, { tokenizer, template, assistantOnlyLoss: true });
  const loss = (await task.forward(sequences)).mean("loss");

  const share = (flags: readonly boolean[]) => flags.filter(Boolean).length / flags.length;
  const reference = options.reference ?? logProbs;
  const margins = logProbs.map(({ refChosen, refRejected }, i) => {
    const before = reference[i]!;
    return options.beta * (refChosen - before.refChosen - (refRejected - before.refRejected));
  });
  return {
    judge: mean(prompts.map((prompt, i) => judgeAnswer(prompt, answers[i]!).overallScore)),
    preference: share(logProbs.map(({ refChosen, refRejected }) => refChosen > refRejected)),
    reward: { accuracy: share(margins.map((margin) => margin > 0)), margin: mean(margins) },
    perplexity: Math.exp(loss),
    answers,
    prompts,
    logProbs,
  };
}

async function pairLogProbs(model: Llama, pairs: Parameters<DpoTask["logProbs"]>[0]): Promise<PairLogProbs> {
  using task = new DpoTask(model, { beta: 1, labelSmoothing: 0, tokenBudget: TOKEN_BUDGET });
  return task.logProbs(pairs);
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
