import { judgeAnswer, type Ratings } from "./judge.js";

/** The judge as a rule file, for `feedback.score.judge.rules` of the quickstart's recipe. */
export default function rules(prompt: string, response: string): Ratings {
  return judgeAnswer(prompt, response).ratings;
}
