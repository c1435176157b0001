import type { Command } from "commander";

import { quickstart } from "../index.js";
import { follow } from "./follow.js";
import { interruptible } from "./signal.js";

export function addQuickstart(westwind: Command): void {
  westwind
    .command("quickstart")
    .description("take a small model of our own through the whole recipe, in minutes on a CPU")
    .option(
      "--output_dir <folder>",
      "where everything is written; an earlier quickstart's is deleted",
      "outputs/quickstart",
    )
    .option("--json", "print the measures as one JSON object on stdout")
    .action(async ({ output_dir: folder, json }: { output_dir: string; json?: boolean }) => {
      const say = (line: string) => void process.stderr.write(`${line}\n`);
      const result = await interruptible("step", (signal) => quickstart({ folder, say, follow, signal }));
      const shown = { base: result.base, sft: result.sft, dpo: result.dpo };
      if (json)
        process.stdout.write(`${JSON.stringify({ ...shown, seconds: result.seconds, report: result.report })}\n`);
    });
}
