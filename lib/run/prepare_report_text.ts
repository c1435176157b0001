import type { DistributionSummary } from "../curate/distribution.js";
import { CHANGES, type Change, DROP_STEPS, type DropReason } from "../curate/drops.js";
import type { PrepareReport } from "../curate/prepare_report.js";
import { showNumber } from "../report/number.js";
import { markdownTable } from "../report/table.js";

const REASONS = Object.assign({}, ...Object.values(DROP_STEPS)) as Record<DropReason, string>;

/** report.md of prepared data. */
export function prepareReportText(report: PrepareReport): string {
  const { options, read, kept, splits, steps, changed, lengths, sources, examples } = report;
  const files = Object.entries(splits).map(([name, rows]) => `${showNumber(rows)} in ${name}.${options.format}`);
  const dropped = steps.flatMap(({ step, dropped }) =>
    Object.entries(dropped).map(([reason, count]) => [
      step,
      REASONS[reason as DropReason],
      count,
      shareOf(count, read),
    ]),
  );
  const changes = (Object.keys(CHANGES) as Change[]).map((change) => {
    return [CHANGES[change], changed[change].rows, `${(100 * changed[change].share).toFixed(2)} %`];
  });
  const sections = [
    "# Prepared data",
    `${showNumber(read)} rows were read, ${showNumber(kept)} are kept: ${files.join(", ")}.`,
    "## Dropped",
    markdownTable(["step", "the row", "rows", "of all rows"], dropped),
    "## Changed",
    markdownTable(["what", "rows", "of all dialogues"], changes),
    "## Lengths of the dialogues that are kept",
    lengthTable(lengths),
    "## Sources of the rows that are kept",
    markdownTable(
      ["source", "rows", "share"],
      Object.entries(sources).map(([name, rows]) => [asText(name), rows, shareOf(rows, kept)]),
    ),
    "## Examples",
    ...Object.entries(examples).flatMap(([kind, rows]) => [
      `### ${REASONS[kind as DropReason] ?? CHANGES[kind as Change]}`,
      markdownTable(
        kind in CHANGES ? ["row", "was", "is"] : ["row", "prompt", "found"],
        rows.map(({ row, text = "", detail = "" }) => [row, text, detail].map(asText)),
      ),
    ]),
    "## Options",
    `\`\`\`json\n${JSON.stringify(report.options, null, 2)}\n\`\`\``,
  ];
  return `${sections.join("\n\n")}\n`;
}

const QUANTILES = ["min", "p5", "p25", "median", "p75", "p95", "p99", "max"] as const;

function lengthTable(lengths: Readonly<Record<string, DistributionSummary>>): string {
  const rows = Object.entries(lengths).map(([name, summary]) => [
    ...[name, showNumber(summary.total), showNumber(summary.mean)],
    ...QUANTILES.map((quantile) => summary[quantile]),
  ]);
  return markdownTable(["", "in all", "mean", ...QUANTILES], rows);
}

const shareOf = (part: number, whole: number): string => `${(whole === 0 ? 0 : (100 * part) / whole).toFixed(2)} %`;

/** What rows say is shown as it is, not as Markdown. */
const asText = (text: string): string => text.replace(/[&<>*_`[\]#\\]/g, (c) => `&#${c.charCodeAt(0)};`);
