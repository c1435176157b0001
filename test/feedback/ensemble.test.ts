import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { type Assignment, assign, type Member, messagesFor, seedOf } from "../../lib/feedback/ensemble.js";
import { BUILT_IN, toPrinciples } from "../../lib/feedback/principles.js";
import { type FeedbackPrompt, toFeedbackPrompt } from "../../lib/feedback/prompts.js";
import { refusal } from "../run/collect.js";

const prompt = (text: string, index = 0): FeedbackPrompt =>
  toFeedbackPrompt({ source: "prompts.jsonl", index, fields: { prompt: text } });

const principles = [
  { name: "brief", weight: 3, texts: ["Be brief."] },
  { name: "kind", weight: 1, texts: ["Be kind.", "Be gentle."] },
];
const member = (name: string, weight = 1): Member => ({ name, weight, principles });
const names = (drawn: readonly Assignment<Member>[]): string[] => drawn.map(({ member }) => member.name);

describe("who answers", () => {
  const members = [member("a"), member("b", 2), member("c", 0.5), member("d"), member("e", 4)];
  const draw = { seed: 7, count: 3 };

  test("follows from the prompt alone, not from its place, nor from the members' order", () => {
    const check = fc.property(
      fc.string(),
      fc.nat(1000),
      fc.shuffledSubarray(members, { minLength: 5 }),
      (text, index, order) => {
        fc.pre(text.trim() !== "");
        const drawn = assign(prompt(text), members, draw);
        expect(assign(prompt(text, index), order, draw)).toEqual(
          drawn.map((one) => ({ ...one, prompt: prompt(text, index) })),
        );
        expect(new Set(names(drawn)).size).toBe(3);
      },
    );
    fc.assert(check);
  });

  test("stays the same in later versions", () => {
    const drawn = ["x", "y", "z"].map((text) => assign(prompt(text), members, draw));
    expect(drawn.map((one) => names(one).join(""))).toEqual(["bed", "dea", "eab"]);
    expect(drawn.map((one) => one.map(({ principle }) => principle!.text[3]).join(""))).toEqual(["bbb", "kbb", "bbg"]);
    expect(drawn.map(([first]) => seedOf(7, first!))).toEqual([242076137, 38907605, 431994847]);
  });

  test("is another with another seed, mostly", () => {
    const texts = Array.from({ length: 100 }, (_, i) => `prompt ${i}`);
    const all = (seed: number): string[] =>
      texts.map((text) => names(assign(prompt(text), members, { seed, count: 3 })).join());
    const [one, two] = [all(1), all(2)];
    expect(one.filter((drawn, i) => drawn === two[i]).length).toBeLessThan(40);
  });

  test("is drawn as the weights say, one after the other", () => {
    const three = [member("a", 1), member("b", 2), member("c", 7)];
    const count = 20_000;
    const first = new Map<string, number>();
    const second = new Map<string, number>();
    for (let i = 0; i < count; i++) {
      const [one, two] = names(assign(prompt(`prompt ${i}`), three, { seed: 3, count: 2 }));
      first.set(one!, (first.get(one!) ?? 0) + 1 / count);
      second.set(`${one}${two}`, (second.get(`${one}${two}`) ?? 0) + 1 / count);
    }
    // Without replacement: the second is drawn from those that are left.
    const expected = {
      ab: (0.1 * 2) / 9,
      ac: (0.1 * 7) / 9,
      ba: (0.2 * 1) / 8,
      bc: (0.2 * 7) / 8,
      ca: (0.7 * 1) / 3,
      cb: (0.7 * 2) / 3,
    };
    for (const [pair, share] of Object.entries(expected)) expect(second.get(pair)).toBeCloseTo(share, 1.8);
    for (const { name, weight } of three) expect(first.get(name)).toBeCloseTo(weight / 10, 1.8);
  });

  test("hardly changes when another model comes: each keeps its time", () => {
    let kept = 0;
    for (let i = 0; i < 300; i++) {
      const before = names(assign(prompt(`prompt ${i}`), members, draw));
      const after = names(assign(prompt(`prompt ${i}`), [...members, member("f")], draw));
      const others = after.filter((name) => name !== "f");
      expect(before.slice(0, others.length)).toEqual(others);
      if (others.length === 3) kept++;
    }
    expect(kept).toBeGreaterThan(150);
  });
});

test("principles and their texts are drawn by their weights, for each answer apart", () => {
  const two = [member("a"), member("b")];
  const drawn = Array.from({ length: 4000 }, (_, i) =>
    assign(prompt(`prompt ${i}`), two, { seed: 1, count: 2 }),
  ).flat();
  const share = (text: string): number =>
    drawn.filter(({ principle }) => principle!.text === text).length / drawn.length;
  expect(share("Be brief.")).toBeCloseTo(0.75, 1.5);
  expect(share("Be kind.")).toBeCloseTo(0.125, 1.5);
  expect(share("Be gentle.")).toBeCloseTo(0.125, 1.5);
  const pairs = Array.from({ length: 4000 }, (_, i) => [drawn[2 * i]!, drawn[2 * i + 1]!] as const);
  const alike = pairs.filter(([one, other]) => one.principle!.name === other.principle!.name).length / pairs.length;
  expect(alike).toBeCloseTo(0.75 ** 2 + 0.25 ** 2, 1.5);
  expect(
    assign(prompt("x"), [{ ...member("a"), principles: [] }], { seed: 1, count: 1 })[0]!.principle,
  ).toBeUndefined();
});

test("seeds of answers differ by prompt, model and seed", () => {
  const drawn = ["a", "b"].flatMap((text) => assign(prompt(text), [member("m"), member("n")], { seed: 1, count: 2 }));
  const seeds = [...drawn.map((one) => seedOf(1, one)), ...drawn.map((one) => seedOf(2, one))];
  expect(new Set(seeds).size).toBe(8);
  expect(seeds.every((seed) => Number.isInteger(seed) && seed >= 0 && seed < 2 ** 31)).toBe(true);
});

test("a principle is what the system says, behind what it says already", () => {
  const one = (fields: Record<string, unknown>, principle?: { name: string; text: string }): unknown => {
    const made = toFeedbackPrompt({ source: "p", index: 0, fields });
    return messagesFor({ prompt: made, member: member("m"), principle });
  };
  const user = { role: "user", content: "Hi" };
  const principle = { name: "brief", text: "Be brief." };
  expect(one({ prompt: "Hi" })).toEqual([user]);
  expect(one({ prompt: "Hi" }, principle)).toEqual([{ role: "system", content: "Be brief." }, user]);
  expect(one({ messages: [{ role: "system", content: "You are a pirate." }, user] }, principle)).toEqual([
    { role: "system", content: "You are a pirate.\n\nBe brief." },
    user,
  ]);
});

test("principles are the built-in ones by name, or have texts", async () => {
  expect(toPrinciples({ honesty: { weight: 2, texts: null }, own: { weight: 1, texts: ["x"] } }, "principles")).toEqual(
    [
      { name: "honesty", weight: 2, texts: BUILT_IN.honesty },
      { name: "own", weight: 1, texts: ["x"] },
    ],
  );
  expect(await refusal(() => toPrinciples({ brevity: { weight: 1, texts: null } }, "models.0.principles"))).toBe(
    "ConfigError: models.0.principles.brevity: a principle without texts, expected texts, or one of helpfulness, truthfulness, honesty, verbalized_calibration",
  );
  expect(Object.values(BUILT_IN).every((texts) => texts.length > 1 && new Set(texts).size === texts.length)).toBe(true);
});
