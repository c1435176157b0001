import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CRITERIA } from "../../lib/feedback/aspects.js";
import { readJudgeReply } from "../../lib/feedback/judge_reply.js";
import { isRefusal, type Rating, readRating } from "../../lib/feedback/rating.js";

const OF_FIVE = CRITERIA.helpfulness.scale;
const OF_TEN = CRITERIA.overall.scale;

/** The ratings of a reply, or why there are none. */
function ratingsOf(reply: string, count: number, scale = OF_FIVE): readonly Rating[] | string {
  const read = readJudgeReply(reply, count, scale);
  return isRefusal(read) ? read.refused : read.map(({ rating }) => rating);
}

describe("one rating", () => {
  test.each<[string, Rating]>([
    ["4", 4],
    [" **4** ", 4],
    ["4.", 4],
    ["4.5", 4.5],
    ["3.50/5", 3.5],
    ["4/5", 4],
    ["4 / 5 - clear", 4],
    ["4 out of 5", 4],
    ["5 of 5.", 5],
    ["[4]", 4],
    ['"4"', 4],
    ["(4), mostly right", 4],
    ["4 (nearly all of it)", 4],
    ["4 stars", 4],
    ["4 (out of 5)", 4],
    ["4 (no errors)", 4],
    ["4. It has 12 lines, or so", 4],
    ["4, since it is clear", 4],
    ["`4`: clear", 4],
    ["N/A", "N/A"],
    ["n/a (a poem)", "N/A"],
    ["NA", "N/A"],
    ["n.a.", "N/A"],
    ["N.A", "N/A"],
    ["[N/A]", "N/A"],
    ["Not applicable.", "N/A"],
    ["not-applicable", "N/A"],
  ])("%j is %j", (text, rating) => expect(readRating(text, OF_FIVE)).toBe(rating));

  test.each([
    ["8/10", '"8/10", expected a rating out of 5'],
    ["80/100", '"80/100", expected a rating out of 5'],
    ["6", '"6", expected a number from 1 to 5 or N/A'],
    ["0", '"0", expected a number from 1 to 5 or N/A'],
    ["0.9", '"0.9", expected a number from 1 to 5 or N/A'],
    ["-4", '"-4", expected a number from 1 to 5 or N/A'],
    ["5.01", '"5.01", expected a number from 1 to 5 or N/A'],
    ["", "nothing, expected a number from 1 to 5 or N/A"],
  ])("%j is refused with its reason", (text, refused) => expect(readRating(text, OF_FIVE)).toEqual({ refused }));

  test.each([
    ...[
      "4-5",
      "4 - 5",
      "3 or 4",
      "3 to 4",
      "4, 5",
      "4,5",
      "4/5/6",
      "4e0",
      "4%",
      "four",
      "good",
      "A",
      "1st",
      "?",
      "none",
    ],
    ...["2 of the answers are wrong", "4 answers", "4 minus 1", "4: 3 for style", "N/A or 3", "nap", "nato", "about 4"],
    ...[
      "4,  5",
      "3 –  4",
      "4 (or 5)",
      "4 (maybe 5)",
      "4 (nearly 4.5)",
      "5. Hm, no: 3.",
      "5! No, 3",
      "4; not 5",
      "4, maybe",
    ],
    ...[
      "N/A (or 3)",
      "N/A - if any, 2",
      "4 (out of 10)",
      "4. 2 would be too harsh",
      "4 (5 for style)",
      "(4) mostly right",
      "{}",
      "null",
      "NaN",
      "Infinity",
      "0x4",
      "４",
    ],
  ])("%j is refused", (text) => expect(readRating(text, OF_FIVE)).toHaveProperty("refused"));

  test("of 1 to 10 a 1 is a 1, decimals stay, and nothing is N/A", () => {
    expect(["1", "1/10", "8/10", "10", "9.5", "1.0"].map((text) => readRating(text, OF_TEN))).toEqual([
      ...[1, 1, 8, 10, 9.5, 1],
    ]);
    expect(readRating("N/A", OF_TEN)).toEqual({ refused: '"N/A", expected a number from 1 to 10' });
    expect(readRating("4/5", OF_TEN)).toHaveProperty("refused");
  });
});

const FIRST = "It does\n\nwhat was asked:\n\n1. the list\n2. the tone\n\nNothing is missing.";

describe("rationales", () => {
  test("blank lines and lists in a rationale are part of it", () => {
    const reply = `Answer 1\nRationale: ${FIRST}\nRating: 5\n\nAnswer 2\nRationale: Short.\nRating: N/A\n\nI hope this helps!`;
    expect(readJudgeReply(reply, 2, OF_FIVE)).toEqual([
      { rating: 5, rationale: FIRST },
      { rating: "N/A", rationale: "Short." },
    ]);
  });

  test("rating first, a value on its own line, rules between answers", () => {
    const reply = `Sure:\n\n### Answer 1\n**Rating:** 4\n**Rationale:** ${FIRST}\n\n---\n\n### Answer 2\n**Rating**\n\n3\n\nPlain prose.`;
    expect(readJudgeReply(reply, 2, OF_FIVE)).toEqual([
      { rating: 4, rationale: FIRST },
      { rating: 3, rationale: "Plain prose." },
    ]);
  });

  test("JSON, in a fence and with prose around it", () => {
    const answers = [
      { answer: 2, rationale: 'Says "Rating: 1".\n\nRating: 1', rating: "2" },
      { answer: 1, rationale: FIRST, rating: "N/A" },
    ];
    const expected = [
      { rating: "N/A", rationale: FIRST },
      { rating: 2, rationale: 'Says "Rating: 1".\n\nRating: 1' },
    ];
    for (const reply of [
      JSON.stringify({ answers }),
      `Here you are:\n\`\`\`json\n${JSON.stringify({ answers }, null, 2)}\n\`\`\`\nThat is [all].`,
      `Ratings: ${JSON.stringify(answers)}`,
    ])
      expect(readJudgeReply(reply, 2, OF_FIVE)).toEqual(expected);
  });
});

const QUOTED = '[{"answer": 1, "rating": 5}, {"answer": 2, "rating": 4}]';
const IN_WORDS = "ratings in JSON and in words, and not the same";

test.each<[string, readonly Rating[] | string]>([
  ["Answer 1: 4\nAnswer 2: 5/5", [4, 5]],
  ["Answer 2: 4\nAnswer 1: 5", [5, 4]],
  ["1. Rating: 4 - fine\n2. Rating: 2 - poor", [4, 2]],
  ["[1]\nRating: 4\n[2]\nRating: 2", [4, 2]],
  ["Response A - Rating: 4\nResponse B - Rating: 2", [4, 2]],
  ["Rating of answer 1: 4\nRating of answer 2: 3.5", [4, 3.5]],
  ["Answer 1 (Rating: 4)\nAnswer 2 (Rating: N/A)", [4, "N/A"]],
  ["#### Output for Text 1\nRating: 4\nRationale: a\n\nb\n\n#### Output for Text 2\nRating: 1\nRationale: c", [4, 1]],
  ["Rating: 4\nRationale: good\n\nRating: 2\nRationale: bad", [4, 2]],
  ["Rationale: good. Rating: 4\nRationale: bad. Rating: 2", [4, 2]],
  ["Answer 1\nRating (1-5): 4\nAnswer 2\nRating [1 to 5] = 2", [4, 2]],
  ["<think>Answer 1: 1\nAnswer 2: 1</think>Answer 1: 4\nAnswer 2: 5", [4, 5]],
  ["Answer 1: 2. Or 3?\nAnswer 2: 4\n</think>\nAnswer 1: 5\nAnswer 2: 1", [5, 1]],
  ["<think>a</think>\nAnswer 1: 2\nAnswer 2: 4</THINK>\n\nAnswer 1: 5\nAnswer 2: 1", [5, 1]],
  ["Answer 1: 2\nAnswer 2: 4\n</think>", "nothing was said"],
  ['{"answer_1": {"rating": 4}, "answer_2": {"rating": "3/5"}}', [4, 3]],
  ['[{"Rating": 4.5}, {"Score": "N/A"}]', [4.5, "N/A"]],
  ["Answer 1: 4", "answer 2: no rating"],
  ["Answer 1\nRating: 4\nAnswer 2\nRationale: cut", "answer 2: no rating"],
  ["Answer 1: 4\nAnswer 2: 5\nAnswer 3: 5", "answer 3, expected 1 to 2"],
  ["Answer 1\nRating: 4\nRating: 3\nAnswer 2\nRating: 3", "answer 1: rated both 4 and 3"],
  ["Answer 1: 4\nAnswer 2: 5\nIn sum:\nAnswer 1: 3", "answer 1: rated both 4 and 3"],
  ["Answer 1\nRating: 8/10\nAnswer 2: 4", 'answer 1: "8/10", expected a rating out of 5'],
  ["Rating: 4", "1 ratings without numbers, expected 2 answers"],
  ["The second one is better.\nRating: 5\nRating: 3", "answers without numbers, expected Answer 1, ..."],
  ["1. Answer 2. Rating: 5\n2. Answer 1. Rating: 3", [3, 5]],
  ["Rating: 5, for answer 2\nRating: 3, for answer 1", "answers without numbers, expected Answer 1, ..."],
  ["Answer 2 is better than 1.\nIt deserves a 5.", "0 ratings without numbers, expected 2 answers"],
  ["I cannot rate these.", "0 ratings without numbers, expected 2 answers"],
  ["<think>Answer 1: 4\nAnswer 2: 5", "nothing was said"],
  ["\n ", "nothing was said"],
  ['{"answers": [{"answer": 1, "rating": 4}, {"answer": 1, "rating": 5}]}', "answer 1: rated twice"],
  ['{"answers": [{"answer": 0, "rating": 4}, {"answer": 1, "rating": 5}]}', "answer 2: no rating"],
  ['{"answers": [{"answer": 1, "rating": 4}]}', "1 ratings, expected 2"],
  ['[{"answer": 1, "rating": 4, "score": "4/5"}, {"answer": 2, "rating": 3}]', [4, 3]],
  ['[{"answer": 1, "rating": 4, "score": 2}, {"answer": 2, "rating": 3}]', "answer 1: rated both 4 and 2"],
  [
    '```json\n[{"answer": 1, "rating": 1}, {"answer": 2, "rating": 2}]\n```\nNo:\n```\n[{"answer": 1, "rating": 3}, {"answer": 2, "rating": 2}]\n```',
    "ratings twice, and not the same",
  ],
  [
    '```json\n[{"answer": 1, "rating": 1}, {"answer": 2, "rating": 2}]\n```\nAgain:\n```\n[{"answer": 2, "rating": 2}, {"answer": 1, "rating": 1}]\n```',
    [1, 2],
  ],
  ['```json\n[{"rating": 1}, {"rating": 2}]\n```', [1, 2]],
  ['[{"answer": "Answer 2", "rating": 1}, {"answer": "#1", "rating": 2}]', [2, 1]],
  ['{"answers":[{"answer":"It is 2","rating":5},{"answer":"It is 1","rating":1}]}', "answer 1: no rating"],
  [
    'Answer 1\nRationale: it returns `[{"rating": 5}, {"rating": 4}]`.\nRating: 1\n\nAnswer 2\nRationale: bad\nRating: 2',
    [1, 2],
  ],
  [`Answer 1\nIt says:\n${QUOTED}\nRating: 1\n\nAnswer 2\nRating: 2`, IN_WORDS],
  [`${QUOTED}\n\n1. Rating: 1\n2. Rating: 5`, IN_WORDS],
  [`Ratings:\n${QUOTED}\n\nAnswer 1: 5\nAnswer 2: 4`, [5, 4]],
  [`It prints ${QUOTED}, which is wrong.`, "0 ratings without numbers, expected 2 answers"],
  [
    "Answer 1\nRating: 4\n\nAnswer 2\nRationale: unclear.\n\nOverall rating: 3",
    '"Overall rating: 3", expected a rating of each answer',
  ],
  [
    "Answer 1: 4\nAnswer 2\nRationale: unclear.\n**Final score**: 2",
    '"**Final score**: 2", expected a rating of each answer',
  ],
  ["Answer 1\nOverall rating: 4\n\nAnswer 2\nFinal rating: 3", [4, 3]],
  ["Answer 1: 1. It names the capital, which is right.\nAnswer 2: 2. It does not.", "answer 1: no rating"],
  ["Answer 1: 1.\nAnswer 2: 2. ", [1, 2]],
  ['{"answers": [{"rating": 4}, {"rating": true}]}', 'answer 2: "true", expected a number from 1 to 5 or N/A'],
  ['{"answers": [{"answer": 1, "rationale": "a", "rating": "4"}, {"answer": 2, "rat', expect.any(String) as string],
])("two answers, %j: %j", (reply, ratings) => expect(ratingsOf(reply, 2)).toEqual(ratings));

test("JSON that the judge was shown and quotes is none of its ratings", () => {
  const shown = ["Say hello.", `Hello. Reply with\n${QUOTED}`];
  const read = (reply: string, texts = shown) => readJudgeReply(reply, 2, OF_FIVE, texts);
  const laidOut = JSON.stringify(JSON.parse(QUOTED), null, 2);
  for (const json of [QUOTED, laidOut, `\`\`\`json\n${laidOut}\n\`\`\``]) {
    const quoting = `It says:\n${json}\nThat is wrong.`;
    expect(read(quoting)).toEqual({ refused: "0 ratings without numbers, expected 2 answers" });
    expect(read(quoting, ["Say hello."])).toHaveLength(2); // its own
    expect(read(`${quoting}\n\nAnswer 1: 1\nAnswer 2: 2`)).toMatchObject([{ rating: 1 }, { rating: 2 }]);
  }
  const own = '[{"answer": 1, "rating": 1}, {"answer": 2, "rating": 2}]';
  const both = `It says:\n\`\`\`\n${QUOTED}\n\`\`\`\nI say:\n\`\`\`\n${own}\n\`\`\``;
  expect(read(both)).toMatchObject([{ rating: 1 }, { rating: 2 }]);
  expect(read(QUOTED)).toMatchObject([{ rating: 5 }, { rating: 4 }]); // all that was said
});

test("a single answer needs no number", () => {
  expect(ratingsOf("It is fine.\n\nRating: 4", 1)).toEqual([4]);
  expect(ratingsOf('{"rationale": "Fine.", "rating": 4}', 1)).toEqual([4]);
  expect(ratingsOf("Overall score: 1", 1, OF_TEN)).toEqual([1]);
  expect(ratingsOf("4", 1)).toEqual([4]);
  expect(ratingsOf('It wrote {"name": "x", "score": 5}. Poor.\nRating: 2', 1)).toEqual([2]);
  expect(ratingsOf('```json\n{"rating": 5}\n``` is what it says.\n\nRating: 1', 1)).toEqual([1]);
  expect(ratingsOf('It says:\n{"rating": 5}\nThat is wrong.', 1)).toBe("answer 1: no rating");
  expect(ratingsOf('Here:\n{"rationale": "Right.", "rating": 5}', 1)).toEqual([5]);
  expect(ratingsOf("It is a 4.", 1)).toEqual("answer 1: no rating");
});

// What judges write around a rating, drawn at random; the ratings have to come out as they went in.

const rating = fc.oneof(
  fc.integer({ min: 1, max: 5 }),
  fc.constantFrom(1.5, 2.25, 4.75),
  fc.constant("N/A" as const),
) as fc.Arbitrary<Rating>;
const PROSE = [
  "It is clear.",
  "Well, 3 of 4 points hold.",
  "Better than answer 2 (see line 1).",
  "A rating of 2 is low.",
];
const prose = fc.array(fc.constantFrom(...PROSE, "", "1. one\n2. two", "- a list\n- of things", "**bold** `code`"), {
  maxLength: 5,
});
const naSpelling = fc.constantFrom("N/A", "n/a", "NA", "n.a.", "Not applicable");
const value = fc.constantFrom<(text: string, isNumber: boolean) => string>(
  (text) => text,
  (text) => `**${text}**`,
  (text) => `[${text}]`,
  (text, isNumber) => (isNumber ? `${text}/5` : text),
  (text, isNumber) => (isNumber ? `${text} out of 5` : text),
  (text) => `${text} (as said)`,
  (text) => `${text} - as said`,
);
const label = fc.constantFrom("Rating: ", "**Rating:** ", "rating = ", "- Score: ", "Rating\n", "Rating (1-5): ");
const heading = fc.constantFrom<(n: number) => string>(
  (n) => `Answer ${n}`,
  (n) => `**Answer ${n}:**`,
  (n) => `### Response #${n}`,
  (n) => `[Answer ${n}]`,
  (n) => `${n}. Text ${n}:`,
  (n) => `Assistant ${"ABCDE"[n - 1]}:`,
  (n) => `${n}.`,
  (n) => `(${n})`,
);
const shape = fc.record({
  label,
  heading,
  isFirst: fc.boolean(),
  gap: fc.constantFrom("\n", "\n\n", "\r\n", "\n---\n"),
});

test("rendered in any shape, ratings come back as they were", () => {
  const answers = fc.array(fc.record({ rating, prose, naSpelling, value }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(
      answers,
      shape,
      fc.constantFrom("", "Of course.\n\n"),
      (answers, { label, heading, isFirst, gap }, intro) => {
        const parts = answers.map(({ rating, prose, naSpelling, value }, i) => {
          const shown = value(rating === "N/A" ? naSpelling : String(rating), rating !== "N/A");
          const lines = [`${label}${shown}`, `Rationale: ${prose.join("\n")}`];
          return [heading(i + 1), ...(isFirst ? lines : lines.reverse())].join("\n");
        });
        expect(ratingsOf(intro + parts.join(gap), answers.length)).toEqual(answers.map(({ rating }) => rating));
      },
    ),
    { numRuns: 2000 },
  );
});

test("one answer without a readable rating, and none is made up", () => {
  const bad = fc.constantFrom(
    "",
    "good",
    "7",
    "0",
    "8/10",
    "4-5",
    "3 or 4",
    "N/A or 4",
    "?",
    "--",
    "four of five",
    "1e0",
    "six",
  );
  fc.assert(
    fc.property(fc.array(rating, { minLength: 1, maxLength: 4 }), fc.nat(4), bad, shape, (ratings, at, bad, shape) => {
      const values = ratings.map(String);
      values.splice(at, 0, bad);
      const parts = values.map((value, i) => `${shape.heading(i + 1)}\n${shape.label}${value}\nRationale: Fine.`);
      expect(ratingsOf(parts.join(shape.gap), values.length)).toEqual(expect.any(String));
    }),
    { numRuns: 2000 },
  );
});

test("a reply that loses an answer, or is of more, gives no ratings", () => {
  fc.assert(
    fc.property(fc.array(rating, { minLength: 2, maxLength: 5 }), fc.nat(4), shape, (ratings, lost, shape) => {
      const parts = ratings.map((rating, i) => `${shape.heading(i + 1)}\n${shape.label}${rating}`);
      expect(ratingsOf(parts.join("\n"), ratings.length - 1)).toEqual(expect.any(String));
      parts.splice(lost % parts.length, 1);
      expect(ratingsOf(parts.join("\n"), ratings.length)).toEqual(expect.any(String));
    }),
    { numRuns: 1000 },
  );
});

test("text without the words rating and score, and without an answer's number, is never a rating", () => {
  const word = fc.constantFrom(
    "the",
    "4",
    "5/5",
    "N/A",
    "\n",
    ":",
    "**",
    "1",
    "{",
    "}",
    "[",
    "]",
    '"',
    "good",
    "is",
    "-",
    "##",
  );
  const garbage = fc.oneof(
    fc.string({ unit: "binary", maxLength: 200 }),
    fc.array(word).map((words) => words.join(" ")),
  );
  fc.assert(
    fc.property(garbage, (text) => {
      fc.pre(!/rating|score|answer|response|text|output|reply|completion|candidate|assistant|model|option/i.test(text));
      expect(ratingsOf(text, 2)).toEqual(expect.any(String));
    }),
    { numRuns: 3000 },
  );
});

test("whatever is read stands in the text, on the scale", () => {
  const piece = fc.constantFrom(
    ...[
      "Answer 1",
      "Answer 2:",
      "Rating:",
      "Score =",
      "4",
      "9",
      "2.5",
      "N/A",
      "\n",
      "\n",
      "/5",
      "/10",
      "-",
      "(",
      ")",
      "**",
    ],
    ...["1.", "2.", "Rationale:", "or", '"rating":', "{", "}", "[", "]", ","],
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const ratings = ratingsOf(pieces.join(" "), 2);
      if (typeof ratings === "string") return;
      for (const rating of ratings) {
        if (rating !== "N/A") expect(rating >= 1 && rating <= 5).toBe(true);
        expect(pieces.some((piece) => piece.startsWith(String(rating)))).toBe(true);
      }
    }),
    { numRuns: 5000 },
  );
});

test("long runs of anything are read in no time", () => {
  const began = performance.now();
  for (const begin of [
    "Rating",
    "Score (",
    "Overall rating",
    "Rationale",
    "Answer",
    "Answer 1",
    "1.",
    "(1)",
    "Rating of",
    "4.",
  ]) {
    for (const piece of [" ", "*", "_ ", "-", "\t"]) {
      const line = `${begin}${piece.repeat(50_000 / piece.length)}`;
      for (const end of ["yy", "\u2028", ")"]) ratingsOf(`${line}${end}`, 2);
    }
  }
  for (const piece of ["*", "1", " ", "-", "[", "Answer ", "Rating: ", "1. *", "Answer 1 *", "```json\n"]) {
    ratingsOf(piece.repeat(100_000 / piece.length), 2);
    ratingsOf(`Answer 1\nRating: ${piece.repeat(100_000 / piece.length)}`, 2);
  }
  expect(performance.now() - began).toBeLessThan(3000); // of ten, a quadratic one alone would take longer
});
