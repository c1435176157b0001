import { createHash } from "node:crypto";
import { Random } from "../base/random.js";
import type { Message } from "../text/chat_template.js";
import { judgeAnswer, type Ratings } from "./judge.js";
import { writeProse } from "./prose.js";
import { askQuestion, drawQuestion } from "./question.js";
import { TEACHER, WRITERS } from "./writer.js";

/** A prompt belongs to one split by its own hash, whatever is drawn before it. One prompt in eight is held out. */
export type WorldSplit = "train" | "test";

export interface DialogueRow {
  readonly prompt: string;
  readonly prompt_id: string;
  readonly messages: readonly Message[];
}

/** A completion as UltraFeedback stores it. */
export interface FeedbackCompletion {
  readonly model: string;
  readonly response: string;
  readonly annotations: Readonly<Record<keyof Ratings, { readonly Rating: string }>>;
  readonly overall_score: number;
}

export interface FeedbackRow {
  readonly source: string;
  readonly prompt_id: string;
  readonly instruction: string;
  readonly models: readonly string[];
  readonly completions: readonly FeedbackCompletion[];
}

const SOURCE = "quickstart";

// Streams of one seed, so that asking for more of one kind does not change another.
const PROSE = 1;
const PROMPTS = 2;
const DIALOGUES = 3;
const FEEDBACK = 4;

/** `count` documents of plain text about the valley, for the base model. What it quotes are prompts of the training split. */
export function writeTexts(count: number, seed: number): { readonly text: string }[] {
  const random = new Random(seed, PROSE);
  return Array.from({ length: count }, () => ({ text: writeProse(random, (from) => drawPrompt(from, "train")) }));
}

/** `count` different prompts of a split. Prompts of the two splits never coincide. */
export function drawPrompts(count: number, seed: number, split: WorldSplit): string[] {
  const random = new Random(seed, PROMPTS);
  const prompts = new Set<string>();
  while (prompts.size < count) {
    const prompt = drawPrompt(random, split);
    prompts.add(prompt);
  }
  return [...prompts];
}

/** `count` dialogues with the teacher, for dSFT; every fourth has a second exchange. Prompts may recur. */
export function writeDialogues(count: number, seed: number, split: WorldSplit): DialogueRow[] {
  const random = new Random(seed, DIALOGUES);
  return Array.from({ length: count }, (_, i) => {
    const messages: Message[] = [];
    for (let exchange = i % 4 === 3 ? 2 : 1; exchange > 0; exchange--) {
      const prompt = drawPrompt(random, split);
      messages.push({ role: "user", content: prompt });
      messages.push({ role: "assistant", content: TEACHER.write(prompt, random) });
    }
    const prompt = messages[0]!.content;
    return { prompt, prompt_id: promptId(prompt), messages };
  });
}

/**
 * Has every writer answer every prompt and the judge rate the answers. Each answer is written from a stream that depends on
 * the seed, its prompt and its writer only.
 */
export function collectFeedback(prompts: readonly string[], seed: number): FeedbackRow[] {
  const models = WRITERS.map(({ name }) => name);
  return prompts.map((prompt) => {
    const completions = WRITERS.map(({ name, write }) => {
      const stream = createHash("sha256").update(`${FEEDBACK}\n${name}\n${prompt}`).digest().readUInt32LE(0);
      return scoreCompletion(name, prompt, write(prompt, new Random(seed, stream)));
    });
    return { source: SOURCE, prompt_id: promptId(prompt), instruction: prompt, models, completions };
  });
}

/** One answer with the judge's ratings, in UltraFeedback's shape. */
function scoreCompletion(model: string, prompt: string, response: string): FeedbackCompletion {
  const { ratings, overallScore } = judgeAnswer(prompt, response);
  const annotations = Object.fromEntries(
    Object.entries(ratings).map(([aspect, rating]) => [aspect, { Rating: String(rating) }]),
  ) as FeedbackCompletion["annotations"];
  return { model, response, annotations, overall_score: overallScore };
}

function drawPrompt(random: Random, split: WorldSplit): string {
  for (;;) {
    const prompt = askQuestion(drawQuestion(random), random);
    if (splitOf(prompt) === split) return prompt;
  }
}

export function splitOf(prompt: string): WorldSplit {
  return createHash("sha256").update(prompt).digest()[0]! % 8 === 0 ? "test" : "train";
}

const promptId = (prompt: string): string => createHash("sha256").update(prompt).digest("hex");
