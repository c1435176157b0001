import type { Follow } from "../index.js";
import { FeedbackReport } from "./feedback_generate.js";
import { showRun } from "./training.js";

/** Shows on stderr what the stages of a recipe do. */
export const follow: Follow = {
  training: showRun,
  feedback: (work) => {
    const shown = new FeedbackReport();
    return work((progress) => shown.report(progress)).finally(() => shown.end());
  },
};
