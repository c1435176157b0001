import { spawnSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

import { type CpuOptions, Device, systemInfo } from "../lib/tensor/device.js";

/** The device of that name, or the end of the process with a line that says why not. */
export function openDevice(name: string, options: CpuOptions = {}): Device {
  try {
    return Device.open(name, options);
  } catch (error) {
    console.error((error as Error).message);
    process.exit(1);
  }
}

/**
 * "NVIDIA H200", "AMD EPYC, family 26 model 2": the hardware under a device. Processors that virtual machines show may have
 * one name for several generations, of which one does twice the operations of another.
 */
export function hardwareOf(device: Device): string {
  if (device.kind === "cpu") return [systemInfo().cpu[0]!.name, generation()].filter(Boolean).join(", ");
  return systemInfo().cuda.find(({ name }) => device.description.includes(name))!.name;
}

function generation(): string {
  const facts = existsSync("/proc/cpuinfo") ? readFileSync("/proc/cpuinfo", "utf8") : "";
  const [family, model] = ["cpu family", "model"].map((key) => new RegExp(`^${key}\\s*: (.+)$`, "m").exec(facts)?.[1]);
  return family === undefined ? "" : `family ${family} model ${model}`;
}

/** Where results are kept in this checkout. */
export function resultsFile(device: Device): string {
  const name = hardwareOf(device)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-");
  return fileURLToPath(new URL(`./results/${name}.jsonl`, import.meta.url));
}

/** Appends measurements to a file as they come, each with what it was measured on. */
export class Rows {
  private readonly run: object;

  constructor(
    device: Device,
    private readonly file: string | undefined,
    facts: object = {},
  ) {
    this.run = { device: hardwareOf(device), ...facts, commit: commit(), date: new Date().toISOString() };
    if (file) mkdirSync(dirname(file), { recursive: true });
  }

  write(row: object): void {
    if (this.file) appendFileSync(this.file, `${JSON.stringify({ ...row, ...this.run })}\n`);
  }
}

/** A bundle for a machine without git says which commit it is of. */
function commit(): string {
  const { stdout } = spawnSync("git", ["describe", "--always", "--dirty"], { encoding: "utf8" });
  return process.env.WESTWIND_COMMIT ?? (stdout?.trim() || "unknown");
}
