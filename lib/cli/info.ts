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

function describe({ cpu, instructionSets, cuda, cudaMissing }: ReturnType<typeof systemInfo>): string {
  const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  const threads = process.env.WESTWIND_THREADS ? ` (WESTWIND_THREADS=${process.env.WESTWIND_THREADS})` : "";
  const lines = [
    ...cpu.map((device) => `cpu      ${device.name}, ${device.units} threads${threads}, ${gib(device.memoryBytes)}`),
    `kernels  ${instructionSets.join(", ")}; ${process.env.WESTWIND_ISA ?? instructionSets.at(-1)} is used`,
    ...cuda.map((device, i) => {
      using opened = Device.cuda(i);
      const { free, total } = opened.memory;
      return `cuda:${i}   ${device.name}, ${device.features}, ${gib(free)} of ${gib(total)} free`;
    }),
    ...(cuda.length === 0 ? [`cuda     none: ${cudaMissing}`] : []),
    `node     ${process.version}, ${process.platform}-${process.arch}`,
  ];
  return `${lines.join("\n")}\n`;
}
