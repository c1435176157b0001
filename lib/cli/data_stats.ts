import type { Command } from "commander";

import { type DataStats, type DistributionSummary, dataStats, showNumber, textTable } from "../index.js";
import { Progress } from "./progress.js";
import { addNumber, POSITIVE } from "./settings.js";

interface Flags {
  readonly split: string;
  readonly limit?: number;
  readonly tokenizer?: string;
  readonly json?: boolean;
}

export function addStats(data: Command): void {
  const stats = data
    .command("stats")
    .description("count what rows hold: dialogues, pairs, feedback or text, and how long they are")
    .argument("<input>", "a file of rows or a folder of them")
    .option("--split <name>", "which files of a folder", "train")
    .option("--tokenizer <folder>", "count tokens, too");
  addNumber(stats, "limit", { about: "read so many rows", ...POSITIVE });
  stats.option("--json", "print one JSON object").action(async (input: string, { json, ...options }: Flags) => {
    const progress = new Progress();
    const report = (rows: number) => progress.update(`${showNumber(rows)} rows`);
    const found = await dataStats(input, { ...options, report }).finally(() => progress.clear());
    process.stdout.write(json ? `${JSON.stringify(found)}\n` : `${describe(found).join("\n")}\n`);
  });
}

const MOST_SOURCES = 20;
const QUANTILES = ["min", "p5", "p25", "median", "p75", "p95", "p99", "max"] as const;
const BAR = 40;

function describe({ rows, broken, kinds, sources, roles, turns, repeatedPrompts, lengths }: DataStats): string[] {
  const named = (counts: Readonly<Record<string, number>>): string =>
    Object.entries(counts)
      .map(([name, count]) => `${name} ${count}`)
      .join(", ") || "none";
  const table = Object.entries(lengths).flatMap(([part, units]) =>
    Object.entries(units).map(([unit, summary]) => lengthRow(`${part}, ${unit}`, summary)),
  );
  if (turns.count > 0) table.unshift(lengthRow("turns", turns));
  const unit = lengths.row?.tokens === undefined ? "words" : "tokens";
  const shown = Object.fromEntries(Object.entries(sources).slice(0, MOST_SOURCES));
  const more = Object.keys(sources).length - MOST_SOURCES;
  return [
    `rows: ${rows}, ${named(kinds)}${broken > 0 ? `, broken ${broken} (westwind data validate tells which)` : ""}`,
    `roles: ${named(roles)}`,
    `sources: ${named(shown)}${more > 0 ? `, and ${more} others` : ""}`,
    `prompts that an earlier row has: ${repeatedPrompts}`,
    ...["", textTable(["", "number", "in all", "mean", ...QUANTILES], table)],
    ...(turns.count > 0 ? ["", "rows by turns", ...histogram(turns)] : []),
    ...(lengths.row?.[unit] ? ["", `rows by ${unit}, up to`, ...histogram(lengths.row[unit])] : []),
  ];
}

const lengthRow = (name: string, summary: DistributionSummary): string[] => [
  ...[name, `${summary.count}`, showNumber(summary.total), showNumber(summary.mean)],
  ...QUANTILES.map((quantile) => `${summary[quantile]}`),
];

/** A line a bin, its bar as long as it has rows. */
function histogram({ bins }: DistributionSummary): string[] {
  const most = Math.max(...bins.map(({ count }) => count));
  const width = Math.max(...bins.map(({ upTo }) => `${upTo}`.length));
  return bins.map(({ upTo, count }) => {
    const bar = "#".repeat(Math.ceil((BAR * count) / most));
    return `${`${upTo}`.padStart(width)}  ${bar.padEnd(BAR)}  ${count}`.trimEnd();
  });
}
