import { expect, test } from "vitest";
import { DataError } from "../../lib/base/errors.js";
import { factsOf } from "../../lib/curate/row_facts.js";
import { StatsTally } from "../../lib/curate/stats.js";

const facts = (fields: Record<string, unknown>) => factsOf({ source: "x.jsonl", index: 0, fields });
const user = (content: string) => ({ role: "user", content });
const assistant = (content: string) => ({ role: "assistant", content });

test.each([
  [
    { messages: [user("a b"), assistant("c"), user("d"), assistant("e")], source: "s" },
    { kind: "dialogue", source: "s", prompt: "a b", parts: { prompt: ["a b"], answer: ["c", "e"] } },
  ],
  [{ data: ["a", "b"] }, { kind: "dialogue", roles: ["user", "assistant"], prompt: "a" }],
  [
    { prompt: "a", completion: "b" },
    { kind: "dialogue", prompt: "a", parts: { prompt: ["a"], answer: ["b"] } },
  ],
  [
    { text: "a b", conversations: [{ from: "human", value: "a" }], data: 3 },
    { kind: "dialogue", prompt: "a" },
  ],
  [{ text: "a story" }, { kind: "text", roles: [], prompt: "", parts: { text: ["a story"] } }],
  [
    { prompt: "a", chosen: [user("a"), assistant("b")], rejected: [user("a"), assistant("c")] },
    { kind: "pair", roles: ["user", "assistant"], parts: { prompt: ["a"], chosen: ["b"], rejected: ["c"] } },
  ],
  [
    { prompt: "a", chosen: "b", rejected: "c" },
    { kind: "pair", roles: [], prompt: "a" },
  ],
  [
    { instruction: "a", completions: [{ response: "b" }, { response: "c" }] },
    { kind: "feedback", roles: [], prompt: "a", parts: { prompt: ["a"], completion: ["b", "c"] } },
  ],
])("%j", (fields, expected) => {
  expect(facts(fields)).toMatchObject(expected);
});

test.each([
  [{ chosen: "a" }, 'found "chosen"; expected "chosen" and "rejected"'],
  [{ instruction: 3, completions: [] }, "instruction: a number, expected text"],
  [{ instruction: "a", completions: {} }, "completions: an object, expected a list"],
  [{ instruction: "a", completions: ["b"] }, "completions[0].response: missing, expected text"],
])("%j is broken", (fields, fact) => {
  expect(() => facts(fields)).toThrow(DataError);
  expect(() => facts(fields)).toThrow(fact);
});

test("what rows hold adds up", () => {
  const tally = new StatsTally();
  tally.add(facts({ messages: [user("Say so."), assistant("so it is")], source: "s" }));
  tally.add(facts({ messages: [user("say  SO."), assistant("so"), user("again"), assistant("so so")] }));
  tally.add(facts({ prompt: "Say so.", chosen: "yes", rejected: "no", source: "s" }));
  tally.add(facts({ text: "one two three" }));
  tally.addBroken();
  const { lengths, turns, ...others } = tally.stats();
  expect(others).toEqual({
    ...{ rows: 5, broken: 1, kinds: { dialogue: 2, pair: 1, text: 1 }, sources: { s: 2, none: 2 } },
    ...{ roles: { user: 3, assistant: 3 }, repeatedPrompts: 2 },
  });
  expect(turns).toMatchObject({ count: 2, total: 6, min: 2, max: 4 });
  expect(lengths.answer).toMatchObject({ words: { count: 3, total: 6 }, characters: { total: 15 } });
  expect(lengths.row).toMatchObject({ words: { count: 4, total: 5 + 5 + 4 + 3 } });
  expect(lengths.row).not.toHaveProperty("tokens");
});
