import type { CriterionReport, JudgeReport, RatingSummary } from "../feedback/bias.js";
import type { LengthBiasReport } from "../feedback/length_bias.js";
import type { PositionBiasReport } from "../feedback/position_bias.js";
import type { FailedCall } from "../feedback/score.js";
import { markdownTable } from "../report/table.js";

export interface ScoreReportContent {
  /** The judge's. */
  readonly name: string;
  readonly output: string;
  readonly rows: number;
  readonly report: JudgeReport;
  readonly failures: readonly CallFailure[];
}

/** A call that gave no ratings. */
export interface CallFailure extends Pick<FailedCall, "criterion" | "failed" | "reason" | "raw"> {
  /** `file:line` of the row. */
  readonly row: string;
  readonly prompt_id: string;
}

/** The report on a judge as Markdown. */
export function renderScoreReport({ name, output, rows, report, failures }: ScoreReportContent): string {
  const { criteria, models, length } = report;
  const byMean = Object.entries(models).sort(([, a], [, b]) => (b.mean ?? 0) - (a.mean ?? 0));
  return `${[
    `# ${name} as a judge`,
    `What ${name} said of ${rows} rows, in ${output}.`,
    "## Ratings",
    ratingTable("criterion", criteria, (own: CriterionReport) => [own.calls, showShare(own.failedShare)]),
    "By the model that answered, all aspects together:",
    ratingTable("model", Object.fromEntries(byMean)),
    "## Position",
    POSITION,
    positionTable(criteria),
    "## Length",
    lengthText(length),
    lengthTable(length),
    ...failureSection(failures),
  ].join("\n\n")}\n`;
}

const POSITION = `Each call showed the answers in an order drawn for it. A rating's deviation is from the mean of its call; \
p is the chance of deviations by position as large as these if positions play no part.`;

function ratingTable<Summary extends RatingSummary>(
  title: string,
  summaries: Readonly<Record<string, Summary>>,
  calls?: (summary: Summary) => (string | number)[],
): string {
  const found = new Set(Object.values(summaries).flatMap(({ ratings }) => Object.keys(ratings)));
  const names = [...found].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const rows = Object.entries(summaries).map(([name, summary]) => [
    name,
    ...(calls?.(summary) ?? []),
    summary.answers,
    show(summary.mean),
    ...names.map((rating) => summary.ratings[rating] ?? 0),
    showShare(summary.notApplicableShare),
  ]);
  const header = [title, ...(calls ? ["calls", "failed"] : []), "answers", "mean", ...names, "share of N/A"];
  return markdownTable(header, rows);
}

function positionTable(criteria: JudgeReport["criteria"]): string {
  const most = Math.max(0, ...Object.values(criteria).map(({ position }) => position.positions.length));
  const header = ["criterion", ...Array.from({ length: most }, (_, i) => `shown ${i + 1}.`), "p"];
  const rows = Object.entries(criteria).map(([name, { position }]) => [
    name,
    ...Array.from({ length: most }, (_, i) => showPosition(position, i)),
    show(position.pValue),
  ]);
  return markdownTable(header, rows);
}

function showPosition({ positions }: PositionBiasReport, at: number): string {
  const { deviation: found = null, standardError = null } = positions[at] ?? {};
  if (found === null) return "-";
  const deviation = found.toFixed(3);
  const sign = /^-?0\.000$/.test(deviation) || found < 0 ? "" : "+";
  const error = standardError === null ? "" : ` ± ${standardError.toFixed(3)}`;
  return `${sign}${deviation.replace(/^-(0\.000)$/, "$1")}${error}`;
}

function lengthText({ wins }: LengthBiasReport): string {
  if (wins.longerWins === null || wins.slopePerDoubling === null) return "No two answers to a prompt differ in length.";
  const error = wins.standardError === null ? "" : ` ± ${wins.standardError.toFixed(3)}`;
  return `Of ${wins.pairs} pairs of answers to one prompt the longer one is rated higher in ${showShare(wins.longerWins)} \
(a tie is half). For each doubling of the length its chance to be rated higher grows by ${wins.slopePerDoubling.toFixed(3)}${error}.`;
}

function lengthTable({ correlations }: LengthBiasReport): string {
  const rows = Object.entries(correlations).map(([name, { count, all, withinPrompts }]) => {
    return [name, count, show(all), show(withinPrompts)];
  });
  return markdownTable(["Spearman's correlation with the length", "answers", "all", "within prompts"], rows);
}

const SHOWN_FAILURES = 20;

function failureSection(failures: readonly CallFailure[]): string[] {
  if (failures.length === 0) return [];
  const rows = failures.slice(0, SHOWN_FAILURES).map(({ row, criterion, reason }) => [row, criterion, reason]);
  const others = failures.length - rows.length;
  return [
    "## Failed",
    `${failures.length} calls gave no ratings${others > 0 ? `; the first ${rows.length}` : ""}. What the judge said is in the .json beside this.`,
    markdownTable(["row", "criterion", "why"], rows),
  ];
}

const show = (value: number | null): string => (value === null ? "-" : value.toFixed(3));
const showShare = (share: number | null): string => (share === null ? "-" : `${(100 * share).toFixed(1)} %`);
