import fc from "fast-check";
import { expect, test } from "vitest";
import { isHubName } from "../../lib/hub/name.js";
import { locateDataset, locateModel } from "../../lib/hub/resolve.js";

test.each([
  ...["gpt2", "mistralai/Mistral-7B-v0.1", "Qwen/Qwen2.5-0.5B", "HuggingFaceH4/ultrafeedback_binarized", "outputs/sft"],
  ...["a/b", "0/1", "_a/b_", "TinyLlama/TinyLlama-1.1B-Chat-v1.0"],
])("%s may be a name on the hub", (text) => {
  expect(isHubName(text)).toBe(true);
});

test.each([
  ...["./a", "../a/b", "/a", "~/a", "a/b/c", "out/dpo/", "a//b", "", " ", "a b/c", ".", "..", "a/..", "-a/b", "a--b/c"],
  ...["pairs.jsonl", "data/pairs.jsonl", "a/b.parquet", "a/b.json", "x.csv", "x.jsonl.gz", "x.jsonl.zst", "m.gguf"],
  ...["prompts.txt", "recipe.yaml", "a\\b", "C:\\a", "https://a.b/c", "a/b.git", "a/b@main", `o/${"n".repeat(95)}`],
])("%j is a path", (text) => {
  expect(isHubName(text)).toBe(false);
});

test("whatever the text, a name has at most one slash and no part that leads upwards", () => {
  const character = fc.constantFrom("a", "B", "7", "_", "-", ".", "/", "~", "\\", " ", "é", "%", "\n");
  fc.assert(
    fc.property(
      fc.array(character).map((all) => all.join("")),
      (text) => {
        if (!isHubName(text)) return;
        expect(text).toMatch(/^[\w.-]+(\/[\w.-]+)?$/);
        expect(text.split("/").filter((part) => /^\.|\.$|\.\.|--/.test(part))).toEqual([]);
      },
    ),
    { numRuns: 2000 },
  );
});

test("what is on this machine is taken as it is, whatever the hub may have of that name", async () => {
  const settings = { endpoint: "http://127.0.0.1:9" }; // where nobody listens
  expect(await locateModel("test/hub", { settings })).toEqual({ path: "test/hub" });
  expect(await locateDataset("lib", { settings })).toEqual({ path: "lib" });
});

test("a path that is missing is given back, for its reader to say so", async () => {
  expect(await locateModel("./no/such")).toEqual({ path: "./no/such" });
  expect(await locateDataset("no.jsonl")).toEqual({ path: "no.jsonl" });
});
