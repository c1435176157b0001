import { lineChart, type Series } from "./chart.js";
import { showNumber } from "./number.js";
import { markdownTable } from "./table.js";

/** One line of log.jsonl: TRL's metric names and their values. */
export type LogRecord = Readonly<Record<string, number>>;

export interface Sample {
  readonly prompt: string;
  readonly before: string;
  readonly after: string;
}

export interface ReportContent {
  readonly title: string;
  /** A sentence or two on what was done. */
  readonly summary: string;
  /** Names and values: data counts, throughput, devices. */
  readonly facts: readonly (readonly [string, string | number])[];
  readonly records: readonly LogRecord[];
  readonly samples: readonly Sample[];
  /** The recipe as YAML, every default filled in. */
  readonly recipe: string;
}

/** What is drawn, where the log has it: training and evaluation of a metric share a chart. */
const CHARTS: readonly (readonly [title: string, metrics: readonly string[]])[] = [
  ["loss", ["loss", "eval_loss"]],
  ["reward accuracy", ["rewards/accuracies", "eval_rewards/accuracies"]],
  ["reward margin", ["rewards/margins", "eval_rewards/margins"]],
  ["rewards", ["rewards/chosen", "rewards/rejected"]],
  ["log-probabilities of the answers", ["logps/chosen", "logps/rejected"]],
  ["token accuracy", ["mean_token_accuracy", "eval_mean_token_accuracy"]],
  ["gradient norm", ["grad_norm"]],
  ["learning rate", ["learning_rate"]],
  ["tokens per second", ["tokens_per_second"]],
];

/** report.md of a run, curves drawn from the same records as log.jsonl. */
export function renderReport(content: ReportContent): string {
  const sections = [`# ${content.title}`, content.summary, markdownTable(["", ""], content.facts)];
  const charts = CHARTS.map(([title, metrics]) => drawMetrics(title, metrics, content.records)).filter(Boolean);
  if (charts.length > 0) sections.push("## Curves", ...charts);

  const last = content.records.findLast((record) => Object.keys(record).some((key) => key.startsWith("eval_")));
  if (last) {
    const rows = Object.entries(last).filter(([key]) => key.startsWith("eval_"));
    sections.push(
      "## Last evaluation",
      markdownTable(
        ["metric", "value"],
        rows.map(([key, value]) => [key, showNumber(value)]),
      ),
    );
  }
  if (content.samples.length > 0) {
    const rows = content.samples.map(({ prompt, before, after }) => [prompt, before, after].map(showAsText));
    sections.push("## Samples", markdownTable(["prompt", "before", "after"], rows));
  }
  sections.push("## Recipe", `\`\`\`yaml\n${content.recipe.trimEnd()}\n\`\`\``);
  return `${sections.join("\n\n")}\n`;
}

function drawMetrics(title: string, metrics: readonly string[], records: readonly LogRecord[]): string {
  const series = metrics
    .map((name): Series => {
      const points = records.filter((record) => name in record).map((record) => [record.step!, record[name]!] as const);
      return { name, points };
    })
    .filter(({ points }) => points.length > 1);
  return series.length > 0 ? lineChart(title, "step", series) : "";
}

/** Generated text may hold anything; it is shown, not interpreted. */
function showAsText(text: string): string {
  return text.replace(/[&<>*_`[\]#\\]/g, (c) => `&#${c.charCodeAt(0)};`);
}
