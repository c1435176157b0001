import type { FakeRequest } from "./fake_endpoint.js";

/** What a judge is shown: the answers in their order, and the quality. */
export function readQuestion({ body }: Pick<FakeRequest, "body">): { quality: string; answers: string[] } {
  const prompt = body.messages.find(({ role }) => role === "user")!.content; // what is asked again comes later
  const answers = [...prompt.matchAll(/<answer(?: number="\d+")?>\n([\s\S]*?)\n<\/answer>/g)].map((match) => match[1]!);
  const quality = /\nJudge (?:each|the) answer for its (.*?)\. /.exec(prompt)?.[1] ?? "none";
  return { quality, answers };
}

/** Rates an answer that says "worth 4" with 4. */
export function ratingReply(request: Pick<FakeRequest, "body">): string {
  const { quality, answers } = readQuestion(request);
  const entries = answers.map((text, i) => {
    const rating = /worth ([\w/.]+)/.exec(text)?.[1] ?? "N/A";
    return { answer: i + 1, rationale: `${quality} of ${text}`, rating };
  });
  return JSON.stringify({ answers: entries });
}

/** Rows of completions, each with answers worth these ratings. */
export function completionRows(count: number, worth: readonly (number | string)[]): Record<string, unknown>[] {
  return Array.from({ length: count }, (_, i) => ({
    source: "test",
    prompt_id: `p${i}`,
    instruction: `number ${i}`,
    models: worth.map((_, m) => `model-${m}`),
    completions: worth.map((rating, m) => ({
      ...{ model: `model-${m}`, principle: null, custom_system_prompt: null },
      response: `${i}, worth ${rating}${"!".repeat(5 * m)}`,
    })),
  }));
}
