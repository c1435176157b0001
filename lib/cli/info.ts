import type { Command } from "commander";

import { Device, systemInfo } from "../index.js";

export function addInfo(westwind: Command): void {
  westwind
    .command("info")
    .description("show the devices, instruction sets and libraries that were found")
    .option("--json", "print one JSON object")
    .action(({ json }: { json?: boolean }) => {
      const info = systemInfo();
      process.stdout.write(json ? `${JSON.stringify(info, null, 2)}\n` : describe(info));
    });
}

function describe(info: ReturnType<typeof systemInfo>): string {
  const { cpu, instructionSets, cuda, cudaMissing, cudaLibraries } = info;
  const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  const lines = [
    ...cpu.map(
      (device) => `cpu      ${device.name}, ${device.units} threads${askedThreads()}, ${gib(device.memoryBytes)}`,
    ),
    `kernels  ${instructionSets.join(", ")}; ${usedSet(instructionSets, cpu[0]!.features)}`,
    ...cuda.map((device, i) => {
      if (cudaLibraries.some(({ missing }) => missing))
        return `cuda:${i}   ${device.name}, ${device.features}, not usable`;
      using opened = Device.cuda(i);
      const { free, total } = opened.memory;
      return `cuda:${i}   ${device.name}, ${device.features}, ${gib(free)} of ${gib(total)} free`;
    }),
    ...(cuda.length === 0 ? [`cuda     none: ${cudaMissing}`] : []),
    ...cudaLibraries.map(({ name, version, path, missing }) => `library  ${missing || `${name} ${version}, ${path}`}`),
    `node     ${process.version}, ${process.platform}-${process.arch}`,
  ];
  return `${lines.join("\n")}\n`;
}

function askedThreads(): string {
  const asked = process.env.WESTWIND_THREADS;
  if (!asked) return "";
  return /^[1-9]\d*$/.test(asked)
    ? ` (${asked} are used)`
    : ` (WESTWIND_THREADS is ${asked}, expected a positive integer)`;
}

function usedSet(known: readonly string[], fastest: string): string {
  const asked = process.env.WESTWIND_ISA || fastest;
  return known.includes(asked) ? `${asked} is used` : `WESTWIND_ISA is ${asked}, expected one of them`;
}
