// npm run bench [-- FILTER --threads=N --isa=NAME --record]: times the kernels whose name contains FILTER.
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";

import { Device, systemInfo } from "../../lib/tensor/device.js";
import { type KernelBench, type Timing, timeKernel } from "./harness.js";

interface Peak {
  readonly gflops: number;
  readonly gb_s: number;
}

/** What this run's shares are of: the largest product and the largest copy that the library itself does. */
async function measurePeak(device: Device): Promise<Peak> {
  const first = async (entry: KernelBench) => {
    for await (const timing of timeKernel(device, entry)) return timing;
    throw new Error(`${entry.kernel} has no shapes`);
  };
  const f32 = [{ s: "f32", t: "f32" }] as const;
  const product = await first({ kernel: "linear_forward", axes: [{ R: 1024, C: 1024, F: 1024 }], dtypes: f32 });
  const copy = await first({ kernel: "cast", axes: [{ N: 1 << 24 }], dtypes: f32 });
  return {
    gflops: (product.gflops * product.us_p50) / product.us_p20,
    gb_s: (copy.gb_s * copy.us_p50) / copy.us_p20,
  };
}

/** The share of whichever peak bounds the kernel. */
const shareOf = (peak: Peak, { gflops, gb_s }: Timing): number => Math.max(gflops / peak.gflops, gb_s / peak.gb_s);

async function readEntries(filter: string): Promise<KernelBench[]> {
  const files = readdirSync(new URL(".", import.meta.url)).filter((file) => file.endsWith(".bench.ts"));
  const modules = await Promise.all(
    files.sort().map((file) => import(new URL(file, import.meta.url).href) as Promise<{ benches: KernelBench[] }>),
  );
  return modules.flatMap(({ benches }) => benches).filter(({ kernel }) => kernel.includes(filter));
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: "string" },
    isa: { type: "string" },
    record: { type: "boolean", default: false },
  },
});
const threads = values.threads ? Number(values.threads) : availableParallelism();
const instructionSet = values.isa ?? systemInfo().instructionSets.at(-1)!;
using device = Device.cpu({ threads, instructionSet });

const peak = await measurePeak(device);
console.log(device.description);
console.log(`peak ${peak.gflops.toFixed(0)} GFLOP/s (linear_forward f32, 1024 x 1024 x 1024)`);
console.log(`copy ${peak.gb_s.toFixed(1)} GB/s (cast f32 to f32, 64 MiB read and 64 MiB written)\n`);
console.log(
  `${"kernel".padEnd(26)}${"axes".padEnd(34)}${"dtype".padEnd(10)}${"us p20".padStart(10)}${"p50".padStart(10)}` +
    `${"p80".padStart(10)}${"GFLOP/s".padStart(10)}${"GB/s".padStart(8)}${"of peak".padStart(9)}`,
);

const run = {
  device: systemInfo().cpu[0]!.name,
  isa: instructionSet,
  threads,
  commit: execFileSync("git", ["describe", "--always", "--dirty"], { encoding: "utf8" }).trim(),
  date: new Date().toISOString(),
};
const results = new URL("../results/", import.meta.url);
const file = new URL(`${run.device.toLowerCase().replace(/[^a-z0-9]+/g, "-")}.jsonl`, results);

for (const entry of await readEntries(positionals[0] ?? "")) {
  for await (const timing of timeKernel(device, entry)) {
    const of_peak = shareOf(peak, timing);
    const { kernel, axes, dtype, us_p20, us_p50, us_p80, gflops, gb_s } = timing;
    const shape = Object.entries(axes).map(([axis, n]) => `${axis}=${n}`);
    const times = [us_p20, us_p50, us_p80].map((us) => us.toFixed(1).padStart(10));
    console.log(
      `${kernel.padEnd(26)}${shape.join(" ").padEnd(34)}${dtype.padEnd(10)}${times.join("")}` +
        `${gflops.toFixed(1).padStart(10)}${gb_s.toFixed(1).padStart(8)}${`${(100 * of_peak).toFixed(0)}%`.padStart(9)}`,
    );
    if (!values.record) continue;
    mkdirSync(results, { recursive: true });
    appendFileSync(
      file,
      `${JSON.stringify({ kernel, ...run, axes, dtype, us_p20, us_p50, us_p80, gflops, gb_s, of_peak })}\n`,
    );
  }
}
