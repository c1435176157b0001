import type { Command } from "commander";

import { addHead } from "./data_head.js";
import { addPrepare } from "./data_prepare.js";
import { addStats } from "./data_stats.js";
import { addValidate } from "./data_validate.js";

export function addData(westwind: Command): void {
  const data = westwind.command("data").description("prepare rows to learn from, and look at what data holds");
  addPrepare(data);
  addStats(data);
  addHead(data);
  addValidate(data);
}
