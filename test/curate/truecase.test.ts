import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { truecase } from "../../lib/curate/truecase.js";

describe("letters become capitals", () => {
  test.each([
    ["Hello. how are you?", "Hello. How are you?"],
    ["what is the law of inertia? explain it! please.", "What is the law of inertia? Explain it! Please."],
    ["Thanks. can i ask more? i'm new here.", "Thanks. Can I ask more? I'm new here."],
    ["Tell me what i can do, as i’ve nothing.", "Tell me what I can do, as I’ve nothing."],
    ["Good.  élan is a word. ёж too. άλφα.", "Good.  Élan is a word. Ёж too. Άλφα."],
    ["Use `npm i`. then run it.\n\n```sh\nrun it. now\n```", "Use `npm i`. Then run it.\n\n```sh\nrun it. now\n```"],
    [
      "Is “i can” said, and if i want it, where i live, if i have it?",
      "Is “I can” said, and if I want it, where I live, if I have it?",
    ],
    ["Let n be 3. i'm sure that i can.", "Let n be 3. I'm sure that i can."],
    [
      "Git has it. ask me how.\nnpm will do. run it\n\nYes.\nWell.\nWell. or yes.",
      "Git has it. Ask me how.\nnpm will do. run it\n\nYes.\nWell.\nWell. Or yes.",
    ],
    ["See A. a list is here.", "See A. a list is here."],
    ["It is so. a list is here.", "It is so. A list is here."],
  ])("%j", (text, expected) => {
    expect(truecase(text)).toBe(expected);
  });
});

describe("stays as it is", () => {
  test.each([
    "Hello. How are you?",
    "Fruit, e.g. apples, i.e. food, etc. and so on",
    "Mr. smith and Dr. jones met at 5 p.m. on main street",
    "Wait... what",
    "1. first\n2. second",
    '"Really?" he asked. "Yes!" she said.',
    "Call foo.bar. foo_bar is a name. iPhone too. www.site.org is one. x is a variable.",
    "A list. a) one thing. b. another",
    "It ends.\nhere a line begins",
    "It ends.\n\nname: value",
    "for i in range, if i is even and i = 3",
    "The index i can be any integer",
    "A sum where i will range over the rows",
    "Stop if i must be less than ten",
    "For every i may we choose one",
    "The variable i should start at one",
    "Take (let i have the value 2)",
    "While i should not pass n, go on; j goes too, so i never did",
    "apples, pears and plums",
    "yes",
    "def f(x): return x. and then some\n    y = 2",
    "import os. and more words here\nx = os.path; y",
    'if [ $# -eq 0 ]; then\n  echo "Please"\nfi',
    "SELECT a FROM b WHERE c = 1. select it",
    "npm will do. run it",
    "apt-get install it all. then run the rest",
    "It is there. git has it. docker too.",
    "Mail me@home.org. me@home.org is mine, <b>bold. text</b>, \\(a. b\\), $$x. y$$",
    "Он сказал. ქართული ენა. Straße. ßharp",
    "See `a. b` and ~~~\nc. d\n~~~ and https://a.b/c. d",
  ])("%j", (text) => {
    expect(truecase(text)).toBe(text);
  });
});

const piece = fc.oneof(
  fc.constantFrom("hello", "i", "i'm", "can", "have", "am", "a", "e.g.", "Mr", "x", "iPhone", "foo_bar", "1", "git"),
  fc.constantFrom(
    "étude",
    "ß",
    "ı",
    "İ",
    "ǆ",
    "ς",
    "µ",
    "ა",
    "http://a.b",
    "me@b.org",
    "import",
    "from",
    "then",
    "def",
  ),
  fc.constantFrom(". ", "? ", "! ", "... ", " ", "\n", "\n\n", "\t", "'", "’", '"', "“", "(", ")", "-", ",", ";", ":"),
  fc.constantFrom("```", "`", "~~~", "<", ">", "$$", "\\(", "\\)", "{", "=", "$", "    "),
  fc.string({ unit: "grapheme", maxLength: 4 }),
);
const prose = fc.array(piece, { maxLength: 60 }).map((pieces) => pieces.join(""));
const spaced = fc.array(piece, { maxLength: 60 }).map((pieces) => pieces.join(" "));

test("a second time changes nothing", () => {
  fc.assert(
    fc.property(fc.oneof(prose, spaced), (text) => {
      expect(truecase(truecase(text))).toBe(truecase(text));
    }),
    { numRuns: 2000 },
  );
});

test("nothing but the case of letters changes", () => {
  fc.assert(
    fc.property(fc.oneof(prose, spaced), (text) => {
      const changed = truecase(text);
      expect(changed.length).toBe(text.length);
      for (let i = 0; i < text.length; i++) {
        if (changed[i] === text[i]) continue;
        expect([changed[i], changed[i]!.toLowerCase()]).toEqual([text[i]!.toUpperCase(), text[i]]);
      }
    }),
    { numRuns: 2000 },
  );
});

test("code in fences and backticks never changes", () => {
  const code = prose.map((text) => text.replaceAll("`", ""));
  const outside = spaced.map((text) => text.replace(/[`~<>$\\@/]/g, ""));
  fc.assert(
    fc.property(outside, code, outside, (before, inner, after) => {
      const fenced = `\`\`\`\n${inner}\n\`\`\``;
      const spanned = `\`${inner.replaceAll("\n", " ")}\``;
      const changed = truecase(`${before}. ${spanned}\n${fenced}\n${after}. how are you`);
      expect(changed.slice(before.length + 2)).toSatisfy((rest: string) => rest.startsWith(`${spanned}\n${fenced}\n`));
    }),
    { numRuns: 1000 },
  );
});

test("long lines take no longer than they are long", () => {
  const start = performance.now();
  for (const unit of [
    "a",
    "a.",
    "a@",
    "$$",
    "\\(",
    "<",
    "`",
    "- ",
    "i ",
    "can i go ",
    ". a ",
    ". how ",
    "\n=",
    "://",
  ]) {
    truecase(`Hello. how are you? ${unit.repeat(50_000)}`);
  }
  expect(performance.now() - start).toBeLessThan(5000);
});
