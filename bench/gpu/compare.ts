// compare.ts FOLDER: kernels.jsonl and peers.jsonl of a run side by side, and how many times faster westwind is.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

interface Row {
  readonly kernel: string;
  readonly axes: object;
  readonly dtype?: string;
  readonly peer?: string;
  readonly us_p50?: number;
}

const folder = process.argv[2]!;
const read = (name: string): Row[] => {
  const path = join(folder, name);
  const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n").filter(Boolean) : [];
  return lines.map((line) => JSON.parse(line));
};
const nameOf = ({ kernel, axes }: Row) => `${kernel} ${JSON.stringify(axes)}`;
const ours = new Map(
  read("kernels.jsonl")
    .filter(({ dtype }) => dtype === "bf16")
    .map((row) => [nameOf(row), row.us_p50]),
);

for (const row of read("peers.jsonl")) {
  if (row.us_p50 === undefined) continue;
  const backward = ours.get(nameOf(row));
  const forward = ours.get(nameOf({ ...row, kernel: row.kernel.replace("_backward", "_forward") }));
  const us = row.peer!.endsWith("with forward") ? (backward ?? Number.NaN) + (forward ?? Number.NaN) : backward;
  if (us === undefined) continue;
  const axes = Object.entries(row.axes).map(([axis, n]) => `${axis}=${n}`);
  console.log(
    `${row.kernel.padEnd(26)}${axes.join(" ").padEnd(34)}${us.toFixed(1).padStart(10)} us  ${row.peer} ` +
      `${row.us_p50.toFixed(1)} us, ${(row.us_p50 / us).toFixed(2)}x`,
  );
}
