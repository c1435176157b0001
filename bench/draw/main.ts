// npm run bench:draw: from the latest rows of bench/results, the charts of docs/performance and the tables of
// docs/performance.md, each between a line <!-- NAME --> and a line <!-- end -->.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { markdownTable } from "../../lib/report/table.js";
import { median } from "../median.js";
import { TRAININGS } from "../peers/workloads.js";
import { exponentOf } from "../scaling/exponent.js";
import { barChart, logChart } from "./chart.js";

const ROOT = join(import.meta.dirname, "../..");
const CHARTS = join(ROOT, "docs/performance");
const PAGE = join(ROOT, "docs/performance.md");

interface Row {
  readonly bench?: string;
  readonly date: string;
  readonly [key: string]: unknown;
}
interface TrainingRow extends Row {
  readonly name: string;
  readonly device: string;
  readonly commit: string;
  readonly peer: number;
  readonly ours: number;
  readonly ratios: readonly number[];
  readonly peer_bytes: number;
  readonly bytes: number;
  readonly of_floor: number;
  readonly peak_gflops: number;
}
interface OperationRow extends Row {
  readonly op: string;
  readonly device: string;
  readonly peer_seconds: number;
  readonly seconds: number;
  readonly ratios: readonly number[];
}
interface DataRow extends Row {
  readonly rows: number;
  readonly bytes: number;
  readonly first: { readonly seconds: number; readonly peak_bytes: number };
  readonly again: { readonly seconds: number; readonly peak_bytes: number };
}
interface ServeRow extends Row {
  readonly name: string;
  readonly model: string;
  readonly dtype: string;
  readonly device: string;
  readonly commit: string;
  readonly peer: number;
  readonly ours: number;
  readonly ratios: readonly number[];
  readonly of_floor?: number;
}
interface ScalingRow extends Row {
  readonly axis: string;
  readonly label: string;
  readonly x: number;
  readonly seconds: number;
  readonly tokens: number;
  readonly flops: number;
  readonly threads: number;
  readonly bytes: number;
  readonly commit: string;
  readonly device: string;
}

const results = join(ROOT, "bench/results");
const rows = readdirSync(results)
  .flatMap((name) => readFileSync(join(results, name), "utf8").trim().split("\n"))
  .map((line) => JSON.parse(line) as Row)
  .toSorted((a, b) => (a.date < b.date ? -1 : 1));
const latest = <T extends Row>(bench: string, key: (row: T) => string): T[] => [
  ...new Map(rows.filter((row) => row.bench === bench).map((row) => [key(row as T), row as T])).values(),
];
const digits = (value: number) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));
const spread = (ratios: readonly number[]) =>
  `${digits(median(ratios))} (${digits(Math.min(...ratios))} to ${digits(Math.max(...ratios))})`;

mkdirSync(CHARTS, { recursive: true });
let page = readFileSync(PAGE, "utf8");

const trainingRows = latest<TrainingRow>("peers_training", ({ name, device }) => `${name} on ${device}`);
const trainings = TRAININGS.flatMap((training) =>
  trainingRows.filter(({ name }) => name === training.name).map((row) => ({ training, row })),
);
put(
  "trainings",
  markdownTable(
    [
      "work",
      "against",
      "processor",
      "peer",
      "westwind",
      "times faster (all steps)",
      "aim",
      "of the floor",
      "times faster at the floor",
      "memory, GB",
      "commit",
    ],
    trainings.map(({ training, row }) => {
      const unit = training.task === "dpo" ? "pairs/s" : "tokens/s";
      return [
        ...[training.what, training.against, row.device, `${digits(row.peer)} ${unit}`, `${digits(row.ours)} ${unit}`],
        ...[spread(row.ratios), training.target, `${(100 * row.of_floor).toFixed(0)} %`],
        digits(median(row.ratios) / row.of_floor),
        ...[`${(row.bytes / 1e9).toFixed(2)} of ${(row.peer_bytes / 1e9).toFixed(2)}`, row.commit],
      ];
    }),
  ),
);
const charted = trainings.filter(({ row }) => row.device === trainings[0]!.row.device);
draw(
  "trainings",
  barChart(
    `Times faster than TRL, ${charted[0]?.row.device}, 2 threads; the red mark is the aim`,
    charted.map(({ training, row }) => ({
      name: `${training.what}; ${training.against}`,
      value: median(row.ratios),
      mark: training.target,
      label: `${digits(median(row.ratios))} of ${training.target}`,
    })),
  ),
);

const sizes = ({ op: _, ...row }: OperationRow) =>
  ["T", "H", "D", "N", "C", "V"].flatMap((axis) => (axis in row ? [`${axis} ${row[axis]}`] : [])).join(", ");
const operations = latest<OperationRow>(
  "peers_operation",
  (row) => `${row.op} ${sizes(row)} ${row.dtype} ${row.device}`,
);
put(
  "operations",
  markdownTable(
    ["operation", "dtype", "processor", "torch, ms", "westwind, ms", "times faster (all turns)"],
    operations.map((row) => [
      ...[`${row.op}, ${sizes(row)}`, String(row.dtype ?? "f32"), row.device],
      ...[digits(1000 * row.peer_seconds), digits(1000 * row.seconds), spread(row.ratios)],
    ]),
  ),
);

const data = latest<DataRow>("data", ({ rows }) => `${rows}`).toSorted((a, b) => a.rows - b.rows);
put(
  "data",
  markdownTable(
    ["pairs", "MB", "s, first", "s, again", "peak MB, first", "peak MB, again"],
    data.map(({ rows, bytes, first, again }) => [
      ...[rows, (bytes / 1e6).toFixed(0), first.seconds.toFixed(1), again.seconds.toFixed(2)],
      ...[first, again].map(({ peak_bytes }) => (peak_bytes / 1e6).toFixed(0)),
    ]),
  ),
);

const answers = latest<ServeRow>("serve", ({ name, model, dtype, device }) => [name, model, dtype, device].join());
put(
  "serve",
  markdownTable(
    [
      "work",
      "model",
      "dtype",
      "processor",
      "transformers",
      "westwind",
      "times faster (all turns)",
      "of memory's rate",
      "commit",
    ],
    answers.map((row) => [
      ...[row.name, row.model, row.dtype, row.device, `${digits(row.peer)} tokens/s`, `${digits(row.ours)} tokens/s`],
      ...[spread(row.ratios), row.of_floor === undefined ? "" : `${(100 * row.of_floor).toFixed(0)} %`, row.commit],
    ]),
  ),
);

const scaling = latest<ScalingRow>("scaling", ({ axis, x }) => `${axis} ${x}`);
const growth: (string | number)[][] = [];
for (const axis of new Set(scaling.map((row) => row.axis))) {
  const sorted = scaling.filter((row) => row.axis === axis).toSorted((a, b) => a.x - b.x);
  const times = sorted.map(({ x, seconds }) => [x, seconds] as const);
  const work = sorted.map(({ x, flops, threads }) => [x, flops / threads] as const);
  const factor = times.at(-1)![1] / work.at(-1)![1];
  draw(
    `scaling-${axis}`,
    logChart(`Seconds a step by ${axis}`, sorted[0]!.label, "seconds", [
      { name: "measured", points: times },
      { name: "operations", points: work.map(([x, y]) => [x, y * factor] as const), dashed: true },
    ]),
  );
  growth.push([
    ...[sorted[0]!.label, `${sorted[0]!.x} to ${sorted.at(-1)!.x}`],
    ...(sorted.length > 1 ? [exponentOf(times).toFixed(2), exponentOf(work).toFixed(2)] : ["", ""]),
    exponentOf(sorted.map(({ x, bytes }) => [x, bytes] as const)).toFixed(2),
    ...[sorted.map(({ tokens, seconds }) => (tokens / seconds).toFixed(0)).join(", ")],
    sorted.map(({ bytes }) => (bytes / 1e6).toFixed(0)).join(", "),
  ]);
}
put(
  "scaling",
  markdownTable(
    ["along", "from, to", "time grows with the power", "operations a thread", "memory", "tokens/s", "MB"],
    growth,
  ),
);
writeFileSync(PAGE, page);

function put(name: string, text: string): void {
  const [begin, end] = [`<!-- ${name} -->\n`, "<!-- end -->"];
  const from = page.indexOf(begin);
  if (from < 0) throw new Error(`docs/performance.md has no line <!-- ${name} -->`);
  page = `${page.slice(0, from + begin.length)}${text}\n${page.slice(page.indexOf(end, from))}`;
}

function draw(name: string, chart: string): void {
  writeFileSync(join(CHARTS, `${name}.svg`), chart);
}
