import { join } from "node:path";

import { writeFileAtomic } from "../base/files.js";
import { showDuration, showNumber } from "../report/number.js";
import { renderReport, type Sample } from "../report/report.js";
import { textTable } from "../report/table.js";
import { alignStages, type Follow } from "../run/align.js";
import type { RunOptions } from "../run/run.js";
import { runSft } from "../run/start.js";
import { JUDGE_NOTICE } from "./judge.js";
import { type Measures, measureModel } from "./measure.js";
import { planQuickstart } from "./stages.js";

export interface QuickstartOptions extends Pick<RunOptions, "signal"> {
  /** Where everything is written; what an earlier quickstart left there is deleted. */
  readonly folder: string;
  /** Shows a line. */
  readonly say: (line: string) => void;
  readonly follow: Follow;
}

export interface QuickstartResult {
  readonly base: Measures;
  readonly sft: Measures;
  readonly dpo: Measures;
  readonly seconds: number;
  readonly report: string;
}

const HEADER = ["model", "judge (1-10)", "prefers better", "reward accuracy", "reward margin", "perplexity"];
const SAMPLES = 3;

/** Takes a small model of our own through the Zephyr recipe, from untrained weights to dDPO, and measures each stage. */
export async function quickstart({ folder, say, follow, signal }: QuickstartOptions): Promise<QuickstartResult> {
  const started = performance.now();
  const options = signal ? { signal } : {};
  say("writing text, dialogues and prompts about a small valley");
  const { base, align, data, folders } = await planQuickstart(folder);

  say("== base: a model of 0.87 million parameters learns to read");
  await follow.training(base, runSft(base, options));
  for (const stage of await alignStages(align, options)) {
    say(`== ${TITLES[stage.name]}`);
    if (stage.name === "score") say(JUDGE_NOTICE);
    await stage.run(follow);
  }

  say("== held-out prompts");
  const beta = align.dpo!.recipe.beta;
  const sft = await measureModel(folders.sft, data, { beta, signal });
  const reference = sft.logProbs;
  const measures = {
    base: await measureModel(folders.base, data, { beta, reference, signal }),
    sft,
    dpo: await measureModel(folders.dpo, data, { beta, reference, signal }),
  };
  const seconds = (performance.now() - started) / 1000;
  const rows = [rowOf("base", measures.base), rowOf("dSFT", sft, true), rowOf("dDPO", measures.dpo)];
  say(textTable(HEADER, rows));
  const names = { base: "base", sft: "dSFT", dpo: "dDPO" } as const;
  for (let i = 0; i < SAMPLES; i++) {
    say(`\n${sft.prompts[i]}`);
    for (const stage of ["base", "sft", "dpo"] as const) {
      say(`  ${names[stage]}  ${measures[stage].answers[i]!.replace(/\s+/g, " ")}`);
    }
  }

  const report = join(folder, "report.md");
  const samples = sft.prompts.slice(0, 8).map((prompt, i): Sample => {
    return { prompt, before: sft.answers[i]!, after: measures.dpo.answers[i]! };
  });
  await writeFileAtomic(report, reportText(rows, samples, seconds));
  say(
    `\n${showDuration(seconds)} in all; ${report} has the table and more samples, and each stage's folder its own report`,
  );
  return { ...measures, seconds, report };
}

const TITLES = {
  sft: "dSFT: it learns a teacher's dialogues",
  generate: "AIF: the models so far answer prompts",
  score: "AIF: a judge rates the answers",
  binarize: "AIF: a better and a worse answer make a pair",
  dpo: "dDPO: it learns to prefer the better answer",
} as const;

/** The dSFT model is its own reference: its rewards are 0 by definition, and are not shown. */
function rowOf(name: string, measures: Measures, isReference = false): string[] {
  const { accuracy, margin } = measures.reward;
  return [
    name,
    measures.judge.toFixed(2),
    measures.preference.toFixed(3),
    isReference ? "-" : accuracy.toFixed(3),
    isReference ? "-" : margin.toFixed(2),
    showNumber(measures.perplexity),
  ];
}

function reportText(rows: readonly string[][], samples: readonly Sample[], seconds: number): string {
  return renderReport({
    title: "Quickstart: a small model through the Zephyr recipe",
    summary: [
      `Untrained weights, dSFT, AIF pairs, dDPO in ${showDuration(seconds)}. Held-out prompts only; ${JUDGE_NOTICE}.`,
      `\`\`\`text\n${textTable(HEADER, rows)}\n\`\`\``,
      "judge: mean score of answers sampled at temperature 0.7. prefers better: share of pairs whose better answer is likelier. reward: against the dSFT model. perplexity: of the better answers. In the samples, before is dSFT and after is dDPO.",
    ].join("\n\n"),
    facts: [["time", showDuration(seconds)]],
    records: [],
    samples,
    recipe: "# see recipes/quickstart/base.yaml and recipes/quickstart/align.yaml",
  });
}
