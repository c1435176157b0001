import type { Follow } from "../index.js";
import { FeedbackReport } from "./feedback_report.js";
import { showRun } from "./training.js";

/** Shows on stderr what the stages of a recipe do. */
export const follow: Follow = {
  training: showRun,
  feedback: (what, work) => {
    const shown = new FeedbackReport(process.stderr, what);
    return work((progress) => shown.report(progress)).finally(() => shown.end());
  },
};
