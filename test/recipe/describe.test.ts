import { expect, test } from "vitest";
import { recipeKeys, renderRecipeDocs } from "../../lib/recipe/describe.js";
import { IGNORED } from "../../lib/recipe/keys_ignored.js";
import { ALIASES, SCHEMAS } from "../../lib/recipe/schema.js";

test("docs/recipes.md is what the schema says", async () => {
  // after a change of a key: npx vitest run test/recipe/describe.test.ts -u
  await expect(renderRecipeDocs()).toMatchFileSnapshot("../../docs/recipes.md");
});

test.each(["sft", "dpo"] as const)("every key of %s recipes is described, once", (kind) => {
  const keys = recipeKeys().filter(({ kinds }) => kinds.includes(kind));
  expect(keys.map(({ key }) => key).toSorted()).toEqual(Object.keys(SCHEMAS[kind].shape).toSorted());
  expect(keys.filter(({ doc, type }) => doc === "" || type === "another type")).toEqual([]);
});

test("a key has one meaning: it is known, ignored, or another spelling", () => {
  const known = [...Object.keys(SCHEMAS.sft.shape), ...Object.keys(SCHEMAS.dpo.shape)];
  expect(known.filter((key) => IGNORED.has(key) || Object.hasOwn(ALIASES, key))).toEqual([]);
  expect(Object.values(ALIASES).filter((key) => !known.includes(key))).toEqual([]);
});

test("defaults and types of a few keys", () => {
  const of = (name: string) => recipeKeys().find(({ key }) => key === name);
  expect(of("learning_rate")).toMatchObject({ default: "sft 2e-5, dpo 1e-6", kinds: ["sft", "dpo"] });
  expect(of("beta")).toMatchObject({ default: "0.1", type: "a number > 0", kinds: ["dpo"], section: "DPO" });
  expect(of("output_dir")).toMatchObject({ default: "needed" });
  expect(of("chat_template")).toMatchObject({ default: "null", type: "text, or null" });
});
