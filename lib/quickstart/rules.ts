import type { Rules } from "../feedback/rule_judge.js";
import { judgeAnswer } from "./judge.js";

/** The judge as a rule file, for `feedback.score.judge.rules` of the quickstart's recipe. */
const rules: Rules = (prompt, response) => ({ ...judgeAnswer(prompt, response).ratings });

export default rules;
