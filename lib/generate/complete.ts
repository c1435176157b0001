import type { GenerationRequest, ScoredToken, TextGenerator } from "./request.js";

/** A whole answer. */
export interface Completion {
  readonly text: string;
  readonly finish: "stop" | "length";
  readonly numTokens: number;
  /** With `logprobs`: of each token of the answer. */
  readonly scores: readonly ScoredToken[];
}

/** Runs a request to its end and returns its choices. Throws what `generate` throws. */
export async function complete(engine: TextGenerator, request: GenerationRequest): Promise<Completion[]> {
  const choices = Array.from({ length: request.choices ?? 1 }, () => {
    return { text: "", finish: "stop" as Completion["finish"], numTokens: 0, scores: [] as ScoredToken[] };
  });
  for await (const event of engine.generate(request)) {
    if (event.kind === "prompt") continue;
    const choice = choices[event.choice]!;
    choice.text += event.text;
    if (event.kind === "end") [choice.finish, choice.numTokens] = [event.finish, event.numTokens];
    else if (event.score !== undefined) choice.scores.push(event.score);
  }
  return choices;
}
