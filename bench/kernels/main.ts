// npm run bench [-- FILTER ... --device=cpu|cuda[:N] --threads=N --isa=NAME --record --out=FILE]: times the kernels whose
// names contain a FILTER, in the order of the filters. --record appends rows to bench/results, --out to FILE.
// --after=KERNEL leaves out the peak, what comes before KERNEL, and KERNEL: so a run goes on behind a kernel that ended it.
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";

import { type Device, systemInfo } from "../../lib/tensor/device.js";
import { openDevice, Rows, resultsFile } from "../common.js";
import { type KernelBench, type Timing, timeKernel } from "./harness.js";

interface Peak {
  readonly gflops: number;
  readonly gb_s: number;
}

const UNKNOWN: Peak = { gflops: Number.NaN, gb_s: Number.NaN };

/** What this run's shares are of: the largest product and the largest copy that the library itself does. */
async function measurePeak(device: Device): Promise<Peak> {
  const first = async (entry: KernelBench) => {
    for await (const timing of timeKernel(device, entry)) return timing;
    throw new Error(`${entry.kernel} has no shapes`);
  };
  const isCuda = device.kind === "cuda";
  const [dtype, side, copied] = isCuda ? (["bf16", 8192, 1 << 28] as const) : (["f32", 1024, 1 << 24] as const);
  const product = await first({
    kernel: "linear_forward",
    axes: [{ R: side, C: side, F: side }],
    dtypes: [{ t: dtype }],
  });
  const copy = await first({ kernel: "cast", axes: [{ N: copied }], dtypes: [{ s: "f32", t: "f32" }] });
  for (const timing of [product, copy]) rows.write(timing);
  console.log(device.description);
  console.log(`peak ${product.gflops.toFixed(0)} GFLOP/s (linear_forward ${dtype}, ${side} x ${side} x ${side})`);
  console.log(
    `copy ${copy.gb_s.toFixed(1)} GB/s (cast f32 to f32, ${copied / 2 ** 18} MiB read and as many written)\n`,
  );
  return {
    gflops: (product.gflops * product.us_p50) / product.us_p20,
    gb_s: (copy.gb_s * copy.us_p50) / copy.us_p20,
  };
}

/** The share of whichever peak bounds the kernel. */
const shareOf = (peak: Peak, { gflops, gb_s }: Timing): number => Math.max(gflops / peak.gflops, gb_s / peak.gb_s);

async function readEntries(filters: readonly string[], kind: Device["kind"]): Promise<KernelBench[]> {
  const files = readdirSync(new URL(".", import.meta.url)).filter((file) => file.endsWith(".bench.ts"));
  const modules = await Promise.all(
    files.sort().map((file) => import(new URL(file, import.meta.url).href) as Promise<{ benches: KernelBench[] }>),
  );
  const entries = modules.flatMap(({ benches }) => benches).filter(({ on = "cpu" }) => on === kind);
  return [...new Set(filters.flatMap((filter) => entries.filter(({ kernel }) => kernel.includes(filter))))];
}

/** Says what became of an entry that did not end. A device that is lost, or busy for good, takes the process with it. */
async function fail({ kernel, axes }: KernelBench, error: unknown): Promise<Peak> {
  const message = (error as Error).message.split("\n")[0]!;
  const lost = await within(2, device.sync()).then(
    () => false,
    () => true,
  );
  console.log(`${kernel.padEnd(26)}${message}`);
  rows.write({ kernel, axes, error: message, ...(lost && { lost: kernel }) });
  process.exitCode = 1;
  if (lost) process.kill(process.pid, "SIGKILL"); // an orderly end would wait for the device
  return UNKNOWN;
}

/** `work`, unless it takes longer. */
async function within<T>(seconds: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${seconds} s`)), seconds * 1000);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    device: { type: "string", default: "cpu" },
    threads: { type: "string" },
    isa: { type: "string" },
    record: { type: "boolean", default: false },
    out: { type: "string" },
    after: { type: "string" },
  },
});
const threads = values.threads ? Number(values.threads) : availableParallelism();
const instructionSet = values.isa ?? systemInfo().cpu[0]!.features;
using device = openDevice(values.device, { threads, instructionSet });
const rows = new Rows(device, values.out ?? (values.record ? resultsFile(device) : undefined), {
  ...(device.kind === "cpu" && { isa: instructionSet, threads }),
});

const peak: Peak =
  values.after === undefined
    ? await within(60, measurePeak(device)).catch((error) => fail({ kernel: "linear_forward", axes: [] }, error))
    : UNKNOWN;
console.log(
  `${"kernel".padEnd(26)}${"axes".padEnd(34)}${"dtype".padEnd(10)}${"us p20".padStart(10)}${"p50".padStart(10)}` +
    `${"p80".padStart(10)}${"GFLOP/s".padStart(10)}${"GB/s".padStart(8)}${"of peak".padStart(9)}`,
);

const entries = await readEntries(positionals.length > 0 ? positionals : [""], device.kind);
const first = entries.findLastIndex(({ kernel }) => kernel === values.after) + 1;
for (const entry of entries.slice(first)) {
  const timings = timeKernel(device, entry);
  try {
    for (;;) {
      const { done, value } = await within(60, timings.next());
      if (done) break;
      show(value);
    }
  } catch (error) {
    await fail(entry, error);
  }
}

function percent(share: number): string {
  return Number.isNaN(share) ? "-" : `${(100 * share).toFixed(0)}%`;
}

function show(timing: Timing): void {
  const of_peak = shareOf(peak, timing);
  const { kernel, axes, dtype, us_p20, us_p50, us_p80, gflops, gb_s } = timing;
  const shape = Object.entries(axes).map(([axis, n]) => `${axis}=${n}`);
  const times = [us_p20, us_p50, us_p80].map((us) => us.toFixed(1).padStart(10));
  console.log(
    `${kernel.padEnd(26)}${shape.join(" ").padEnd(33)} ${dtype.padEnd(10)}${times.join("")}` +
      `${gflops.toFixed(1).padStart(10)}${gb_s.toFixed(1).padStart(8)}${percent(of_peak).padStart(9)}`,
  );
  rows.write({ kernel, axes, dtype, us_p20, us_p50, us_p80, gflops, gb_s, of_peak });
}
