import { createHash } from "node:crypto";
import { Random } from "../base/random.js";
import type { Message } from "../text/chat_template.js";
import type { Principle } from "./principles.js";
import type { FeedbackPrompt } from "./prompts.js";

/** One of the models among whom answers are drawn. */
export interface Member {
  readonly name: string;
  readonly weight: number;
  /** Of which one is drawn for each of its answers; none: nothing is added to the prompt. */
  readonly principles: readonly Principle[];
}

/** An answer that is wanted: a prompt, who answers it, and what the system says before. */
export interface Assignment<M extends Member> {
  readonly prompt: FeedbackPrompt;
  readonly member: M;
  readonly principle: { readonly name: string; readonly text: string } | undefined;
}

/**
 * Who answers a prompt: `count` members without replacement, the likelier the greater their weight, in the order they were
 * drawn. It follows from the seed, the prompt's content, and the members' names and weights, whatever order they are in.
 */
export function assign<M extends Member>(
  prompt: FeedbackPrompt,
  members: readonly M[],
  { seed, count }: { readonly seed: number; readonly count: number },
): Assignment<M>[] {
  // Each waits for a time of its own, exponentially distributed by its weight; the first to come are drawn (Efraimidis
  // and Spirakis, Information Processing Letters 97, 2006).
  const arrival = ({ name, weight }: M): number =>
    -Math.log((streamOf(seed, "model", prompt, name).nextUint32() + 0.5) / 2 ** 32) / weight;
  const arrivals = members.map((member) => ({ member, at: arrival(member) }));
  arrivals.sort((a, b) => a.at - b.at || (a.member.name < b.member.name ? -1 : 1));
  return arrivals
    .slice(0, count)
    .map(({ member }) => ({ prompt, member, principle: drawPrinciple(seed, prompt, member) }));
}

function drawPrinciple(
  seed: number,
  prompt: FeedbackPrompt,
  { name, principles }: Member,
): Assignment<Member>["principle"] {
  if (principles.length === 0) return undefined;
  const random = streamOf(seed, "principle", prompt, name);
  let left = random.next() * principles.reduce((sum, { weight }) => sum + weight, 0);
  const found = principles.find(({ weight }) => {
    left -= weight;
    return left < 0;
  });
  const { name: principle, texts } = found ?? principles.at(-1)!;
  return { name: principle, text: texts[random.below(texts.length)]! };
}

/** A seed of an answer's own, so that it is drawn alike whenever it is asked for. */
export function seedOf<M extends Member>(seed: number, { prompt, member }: Assignment<M>): number {
  return digestOf("answer", seed, prompt.key, member.name).readUIntBE(0, 4) & 0x7fffffff; // as much as endpoints take
}

/** The chat to answer; what a principle says goes behind what the chat's own system message says. */
export function messagesFor<M extends Member>({ prompt, principle }: Assignment<M>): readonly Message[] {
  const { messages } = prompt;
  if (principle === undefined) return messages;
  const [first, ...others] = messages;
  return first!.role === "system"
    ? [{ role: "system", content: `${first!.content}\n\n${principle.text}` }, ...others]
    : [{ role: "system", content: principle.text }, ...messages];
}

const digestOf = (...parts: readonly (string | number)[]): Buffer =>
  createHash("sha256").update(JSON.stringify(parts)).digest();

const streamOf = (seed: number, purpose: string, prompt: FeedbackPrompt, name: string): Random =>
  new Random(seed, digestOf(purpose, prompt.key, name).readUInt32LE(0));
