import type { Command } from "commander";

import { alignStages, parseAlignRecipe } from "../index.js";
import { follow } from "./follow.js";
import { interruptible } from "./signal.js";
import type { TrainingFlags } from "./training.js";

export function addAlign(westwind: Command): void {
  westwind
    .command("align")
    .description(
      "carry out the stages of one recipe: sft, feedback (generate, score, binarize), dpo; what is done is not repeated",
    )
    .argument("<recipe>", "a YAML file with sft, feedback and dpo sections")
    .argument("[overrides...]", "--key=value pairs that go before the file's; --dpo.beta=0.1 for a section")
    .option("--json", "print a summary of each stage as one JSON object on stdout")
    .allowUnknownOption()
    .action(async (path: string, overrides: string[], flags: TrainingFlags) => {
      const results: Record<string, unknown> = {};
      await interruptible("step", async (signal) => {
        for (const stage of await alignStages(parseAlignRecipe({ path, overrides }), { signal })) {
          process.stderr.write(`== ${stage.name}\n`);
          results[stage.name] = await stage.run(follow);
        }
      });
      if (flags.json) process.stdout.write(`${JSON.stringify(results)}\n`);
    });
}
