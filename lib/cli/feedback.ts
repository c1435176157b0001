import type { Command } from "commander";

import type { LoadTextModel } from "../index.js";
import { addFeedbackAgree } from "./feedback_agree.js";
import { addFeedbackBinarize } from "./feedback_binarize.js";
import { addFeedbackGenerate } from "./feedback_generate.js";
import { addFeedbackScore } from "./feedback_score.js";

export function addFeedback(westwind: Command, load: LoadTextModel): void {
  const feedback = westwind.command("feedback").description("make preference pairs from AI feedback");
  addFeedbackGenerate(feedback, load);
  addFeedbackScore(feedback, load);
  addFeedbackBinarize(feedback);
  addFeedbackAgree(feedback);
}
