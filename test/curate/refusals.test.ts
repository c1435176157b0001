import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { isDrop, toDialogue } from "../../lib/curate/dialogue.js";
import { findRefusal, REFUSAL_PHRASES, readPhrases, refusalTable, spellOut } from "../../lib/curate/refusals.js";
import { Words } from "../../lib/curate/words.js";

const ours = refusalTable(REFUSAL_PHRASES);

function refusalIn(data: readonly string[], table = ours): string | undefined {
  const dialogue = toDialogue({ source: "x", index: 0, fields: { data } });
  if (isDrop(dialogue)) throw new Error("no dialogue");
  const words = dialogue.messages.map(({ content }) => new Words().read(content));
  return findRefusal(table, dialogue, words)?.detail;
}

describe("an assistant that speaks of itself as a program", () => {
  test.each([
    "As an AI language model, I cannot say.",
    "Well: AS AN AI, I do my best.",
    "I'm just a language model, after all.",
    "Sadly I don't have personal experiences.",
    "Sadly I don’t have any feelings.",
    "I do not have emotions or opinions, but here is a list.",
    "I have no personal opinions on this.",
    "I am not capable of feeling emotions.",
  ])("%j", (answer) => {
    expect(refusalIn(["What do you think?", answer])).toMatch(/^turn 2: \w/);
    expect(refusalIn(["Hi", "Hello", "And?", answer])).toMatch(/^turn 4: \w/);
  });
});

test.each([
  "I think that opinions differ. Some people have no feelings about it.",
  "Language models are trained on text; an AI system may be large.",
  "She said: I do not have time for experiences like that.",
  "I am a model of a ship.",
])("%j is an answer like any other", (answer) => {
  expect(refusalIn(["What do you think?", answer])).toBeUndefined();
});

test("what the user says does not count", () => {
  expect(refusalIn(["I do not have feelings, as an AI language model says.", "Indeed."])).toBeUndefined();
});

test("alternatives are spelt out", () => {
  expect(spellOut(["a (b|c d|) e", "f"])).toEqual(["a b e", "a c d e", "a e", "f"]);
  expect(refusalIn(["Hi", "we Regret: to say"], refusalTable(["we (regret|refuse) to"]))).toBe("turn 2: we regret to");
});

test("phrases of a file", async () => {
  const folder = await mkdtemp(join(tmpdir(), "phrases-"));
  const path = join(folder, "phrases.txt");
  await writeFile(path, "\ufeff# ours\n\n \t# more\nmy developers\r\n  I (must|have to) decline \n");
  expect(await readPhrases(path)).toEqual(["my developers", "I (must|have to) decline"]);
  await writeFile(path, "# nothing\n");
  await expect(readPhrases(path)).rejects.toThrow("phrases.txt: holds no phrase, expected one a line");
  await writeFile(path, "ok\n...\n");
  await expect(readPhrases(path)).rejects.toThrow('phrases.txt: "...", expected a phrase with words');
  await writeFile(path, Buffer.from("mein Schöpfer", "latin1"));
  await expect(readPhrases(path)).rejects.toThrow("phrases.txt: is not UTF-8 text, expected phrases, one a line");
  await rm(folder, { recursive: true });
  await expect(readPhrases(path)).rejects.toThrow("phrases.txt: no such file");
});
