import { expect, test } from "vitest";

import { CRITERIA } from "../../lib/feedback/aspects.js";
import { ruleJudge } from "../../lib/feedback/rule_judge.js";
import { judgeAnswer } from "../../lib/quickstart/judge.js";
import rules from "../../lib/quickstart/rules.js";

test("as a rule file, the judge rates each answer to the prompt it was given", async () => {
  const prompt = "What sound does the mouse make?";
  const responses = [
    "The mouse squeaks. It also eats cheese. Have a lovely day!",
    "The mouse barks, but I am not sure.",
  ];
  const judge = ruleJudge("rules", rules);
  const place = { source: "rows.jsonl", index: 0 };
  for (const name of ["instruction_following", "truthfulness", "honesty", "helpfulness"] as const) {
    const question = { criterion: CRITERIA[name], messages: [{ role: "user", content: prompt }], responses, place };
    const verdict = await judge.rate(question);
    expect(verdict).toMatchObject({
      ratings: responses.map((one) => ({ rating: judgeAnswer(prompt, one).ratings[name] })),
    });
  }
  const truthOf = (response: string) => judgeAnswer(prompt, response).ratings.truthfulness;
  expect([truthOf(responses[0]!), truthOf(responses[1]!) === 5]).toEqual([5, false]);
});
