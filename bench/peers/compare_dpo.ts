/**
 * DPO held against TRL on the same rows, side by side: peer and westwind by turns, ROUNDS times, medians.
 *
 *   WESTWIND_PEER_PYTHON=/env/bin/python node --import ./bench/register.mjs bench/peers/compare_dpo.ts MODEL ROWS.jsonl
 *       [--rounds 5] [--steps 3] [--batch 8] [--max_length 512] [--threads 2] [--tuned] [--bf16] [--cached]
 *
 * MODEL: a folder both can load (make_model.py makes one). --tuned gives the peer glibc's large malloc thresholds. Both
 * compute in float32, or with --bf16 in bf16: the peer under autocast, westwind with an f32 master.
 * The peer runs its reference model inside every step; westwind runs its own once, before the first step. Both are
 * counted: pairs a second is pairs / (seconds of all steps but the first + the reference's share of these pairs). With
 * --cached the peer computes it before as well, and neither is counted: the second epoch and all later ones.
 * One row goes to bench/results/<device>.jsonl.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

interface Measured {
  readonly pairsPerSecond: number;
  readonly losses: readonly number[];
}

const MALLOC_TUNED = { MALLOC_MMAP_THRESHOLD_: "4294967296", MALLOC_TRIM_THRESHOLD_: "4294967296" };
const HERE = import.meta.dirname;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "5" },
    steps: { type: "string", default: "3" },
    batch: { type: "string", default: "8" },
    max_length: { type: "string", default: "512" },
    threads: { type: "string", default: "2" },
    tuned: { type: "boolean", default: false },
    bf16: { type: "boolean", default: false },
    cached: { type: "boolean", default: false },
  },
});
const python = process.env.WESTWIND_PEER_PYTHON;
const [model, source] = positionals;
if (!python || !model || !source) {
  process.stderr.write(
    "WESTWIND_PEER_PYTHON=PYTHON compare_dpo.ts MODEL ROWS.jsonl [--rounds 5] [--steps 3] [--tuned] [--bf16] [--cached]\n",
  );
  process.exit(2);
}
const [rounds, steps, batch] = [Number(values.rounds), Number(values.steps) + 1, Number(values.batch)];

const folder = mkdtempSync(join(tmpdir(), "westwind-peer-"));
const rows = join(folder, "rows.jsonl");
// Some rows to spare, because both drop those whose prompt fills max_length.
const lines = readFileSync(source, "utf8")
  .split("\n")
  .slice(0, steps * batch + 8);
writeFileSync(rows, `${lines.join("\n").trimEnd()}\n`);

try {
  const ours: Measured[] = [];
  const peer: Measured[] = [];
  for (let round = 0; round < rounds; round++) {
    const [first, second] = round % 2 === 0 ? ([runPeer, runOurs] as const) : ([runOurs, runPeer] as const);
    for (const run of [first, second]) (run === runPeer ? peer : ours).push(run());
    const [p, o] = [peer.at(-1)!, ours.at(-1)!];
    const apart = Math.max(...o.losses.map((loss, i) => Math.abs(loss / p.losses[i]! - 1)));
    process.stderr.write(
      `round ${round + 1}: TRL ${p.pairsPerSecond.toFixed(3)} pairs/s, westwind ${o.pairsPerSecond.toFixed(3)} pairs/s, ` +
        `ratio ${(o.pairsPerSecond / p.pairsPerSecond).toFixed(2)}, losses ${apart.toExponential(1)} apart\n`,
    );
  }
  report(ours, peer);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function runPeer(): Measured {
  const args = [join(HERE, "dpo_speed.py"), model!, rows, "--steps", `${steps}`, "--batch", `${batch}`];
  args.push("--max_length", values.max_length, "--threads", values.threads);
  if (values.bf16) args.push("--bf16");
  if (values.cached) args.push("--precompute");
  const out = run(python!, args, values.tuned ? MALLOC_TUNED : {});
  const records = parseLines(out).filter((record) => "step" in record);
  return { pairsPerSecond: rateAfterFirst(records.map((r) => r.seconds!)), losses: records.map((r) => r.loss!) };
}

function runOurs(): Measured {
  const output = join(folder, "ours");
  rmSync(output, { recursive: true, force: true }); // no cached reference: it is part of what is measured
  const keys = {
    model_name_or_path: model!,
    dataset_name: rows,
    chat_template: "zephyr",
    data_order: "sequential",
    max_steps: steps,
    per_device_train_batch_size: batch,
    gradient_accumulation_steps: 1,
    learning_rate: 1e-5,
    lr_scheduler_type: "linear",
    warmup_ratio: 0,
    beta: 0.1,
    dtype: values.bf16 ? "bfloat16" : "float32",
    max_length: values.max_length,
    logging_steps: 1,
    report: false,
    threads: values.threads,
    output_dir: output,
  };
  const args = [join(HERE, "../../dist/cli/main.js"), "dpo", join(HERE, "../../recipes/dpo.yaml"), "--json"];
  const out = run(process.execPath, [...args, ...Object.entries(keys).map(([key, value]) => `--${key}=${value}`)], {});
  const summary = JSON.parse(out.trim().split("\n").at(-1)!) as Record<string, number>;
  if (summary.reference_seconds === undefined || summary.rows === undefined)
    throw new Error("the summary of westwind dpo --json: reference_seconds and rows expected");
  const records = parseLines(readFileSync(join(output, "log.jsonl"), "utf8")).filter((r) => "pairs_per_second" in r);
  const reference = values.cached ? 0 : (summary.reference_seconds * (steps - 1) * batch) / summary.rows;
  const seconds = records.map((record) => batch / record.pairs_per_second!);
  return { pairsPerSecond: rateAfterFirst(seconds, reference), losses: records.map((r) => r.loss!) };
}

/** Pairs a second over all steps but the first, which pays for threads, pages and caches. */
function rateAfterFirst(seconds: readonly number[], extra = 0): number {
  const later = seconds.slice(1);
  return (later.length * batch) / (later.reduce((sum, s) => sum + s, 0) + extra);
}

function run(program: string, args: readonly string[], env: Record<string, string>): string {
  const done = spawnSync(program, args, { env: { ...process.env, ...env }, encoding: "utf8", maxBuffer: 1 << 26 });
  if (done.status !== 0) throw new Error(`${program} ${args[0]}: exit ${done.status}\n${done.stderr.slice(-2000)}`);
  return done.stdout;
}

function parseLines(text: string): Record<string, number>[] {
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, number>);
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function report(ours: readonly Measured[], peer: readonly Measured[]): void {
  const device = (cpus()[0]?.model ?? "cpu")
    .trim()
    .replace(/[^A-Za-z0-9]+/g, "-")
    .toLowerCase();
  const rate = (runs: readonly Measured[]) => median(runs.map((r) => r.pairsPerSecond));
  const row = {
    bench: "dpo_against_trl",
    date: new Date().toISOString(),
    commit: execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: HERE, encoding: "utf8" }).trim(),
    device,
    threads: Number(values.threads),
    load: loadavg()[0],
    dtype: values.bf16 ? "bf16" : "f32",
    reference: values.cached ? "cached" : "live",
    peer_malloc: values.tuned ? "tuned" : "default",
    batch,
    steps: steps - 1,
    max_length: Number(values.max_length),
    rounds,
    peer_pairs_per_second: rate(peer),
    pairs_per_second: rate(ours),
    ratio: median(ours.map((o, i) => o.pairsPerSecond / peer[i]!.pairsPerSecond)),
    ratios: ours.map((o, i) => o.pairsPerSecond / peer[i]!.pairsPerSecond),
  };
  mkdirSync(join(HERE, "../results"), { recursive: true });
  appendFileSync(join(HERE, "../results", `${device}.jsonl`), `${JSON.stringify(row)}\n`);
  process.stdout.write(`${JSON.stringify(row)}\n`);
}
