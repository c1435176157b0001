import type { Command } from "commander";

import { addFeedbackBinarize } from "./feedback_binarize.js";

export function addFeedback(westwind: Command): void {
  const feedback = westwind.command("feedback").description("make preference pairs from AI feedback");
  addFeedbackBinarize(feedback);
}
