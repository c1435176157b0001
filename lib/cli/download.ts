import { existsSync } from "node:fs";
import type { Command } from "commander";

import { FileError, locateDataset, locateModel } from "../index.js";
import { hubOptions } from "./download_progress.js";
import { interruptible } from "./signal.js";

interface Flags {
  readonly dataset?: boolean;
  readonly revision?: string;
  readonly json?: boolean;
}

export function addDownload(westwind: Command): void {
  westwind
    .command("download")
    .description("bring a model or data set of the hub into the cache, and print its folder")
    .argument("<name>", "owner/name")
    .option("--dataset", "a data set, not a model")
    .option("--revision <name>", "a branch, a tag or a commit; default main")
    .option("--json", "print one JSON object")
    .action(async (name: string, flags: Flags) => {
      const locate = flags.dataset ? locateDataset : locateModel;
      const located = await interruptible("part", (signal) => locate(name, hubOptions(flags, signal)));
      const { path, snapshot } = located;
      if (snapshot === undefined && !existsSync(path)) {
        throw new FileError(path, "is not on this machine, and no name that the hub could have; expected owner/name");
      }
      process.stdout.write(flags.json ? `${JSON.stringify(snapshot ?? { path })}\n` : `${path}\n`);
    });
}
