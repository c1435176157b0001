import type { Command } from "commander";

import { addFeedbackAgree } from "./feedback_agree.js";
import { addFeedbackBinarize } from "./feedback_binarize.js";

export function addFeedback(westwind: Command): void {
  const feedback = westwind.command("feedback").description("make preference pairs from AI feedback");
  addFeedbackBinarize(feedback);
  addFeedbackAgree(feedback);
}
