import { expect, test } from "vitest";
import { editDistance, nearest } from "../../lib/recipe/suggest.js";

test.each([
  ["", "", 0],
  ["", "abc", 3],
  ["beta", "beta", 0],
  ["beta", "bta", 1],
  ["beta", "betas", 1],
  ["beta", "bets", 1],
  ["lenght", "length", 1], // a swap is one edit
  ["kitten", "sitting", 3],
])("%j to %j takes %i edits", (a, b, edits) => {
  expect(editDistance(a, b)).toBe(edits);
  expect(editDistance(b, a)).toBe(edits);
});

test("the nearest name is suggested, and none where nothing is near", () => {
  const names = ["learning_rate", "logging_steps", "max_steps", "save_steps", "beta"];
  expect(nearest("lerning_rate", names)).toBe("learning_rate");
  expect(nearest("LEARNING_RATE", names)).toBe("learning_rate");
  expect(nearest("max_step", names)).toBe("max_steps");
  expect(nearest("bet", names)).toBe("beta");
  expect(nearest("colour", names)).toBeUndefined();
  expect(nearest("x", names)).toBeUndefined();
});
