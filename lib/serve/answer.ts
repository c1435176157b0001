import { randomUUID } from "node:crypto";
import type { ScoredToken } from "../generate/request.js";
import type { Tokenizer } from "../text/tokenizer.js";
import type { PromptEvent } from "./run_all.js";
import type { Tally } from "./tally.js";
import type { AnswerShape, Piece, ToldToken, Work } from "./work.js";

/** What every answer and chunk begins with. */
export interface Head {
  readonly id: string;
  readonly created: number;
  readonly model: string;
}

export const newHead = (shape: AnswerShape, model: string): Head => ({
  id: `${shape.idPrefix}${randomUUID().replaceAll("-", "")}`,
  created: Math.floor(Date.now() / 1000),
  model,
});

const first = Symbol("a choice begins");
type Told = Piece | { readonly kind: typeof first; readonly index: number };

/** The parts of all answers as they come: a beginning of each, what there is to tell of it, and an end without text. */
async function* pieces(
  work: Work,
  tokenizer: Tokenizer,
  events: AsyncGenerator<PromptEvent, void, void>,
): AsyncGenerator<Told> {
  for await (const { prompt, event } of events) {
    if (event.kind === "prompt") {
      for (let choice = 0; choice < work.choices; choice++) {
        const index = prompt * work.choices + choice;
        yield { kind: first, index };
        if (work.echoes === undefined) continue;
        const tokens = work.logprobs ? promptTokens(work.requests[prompt]!.prompt, event.scores ?? [], tokenizer) : [];
        yield { index, text: work.echoes[prompt]!, tokens, finish: null };
      }
      continue;
    }
    const index = prompt * work.choices + event.choice;
    const tokens = event.kind === "token" && event.score ? [event.score] : [];
    if (event.text !== "" || tokens.length > 0) yield { index, text: event.text, tokens, finish: null };
    if (event.kind === "end") yield { index, text: "", tokens: [], finish: event.finish };
  }
}

function promptTokens(prompt: Int32Array, scores: readonly ScoredToken[], tokenizer: Tokenizer): ToldToken[] {
  const id = prompt[0]!;
  return [{ id, bytes: tokenizer.textBytesOf(id), logprob: null, top: null }, ...scores];
}

/** Everything that an answer is made of. */
export interface Answering {
  readonly work: Work;
  readonly shape: AnswerShape;
  readonly head: Head;
  readonly tokenizer: Tokenizer;
  readonly tally: Tally;
  readonly events: AsyncGenerator<PromptEvent, void, void>;
}

/** The answer that is sent when all of it is there. */
export async function wholeAnswer({ work, shape, head, tokenizer, tally, events }: Answering): Promise<object> {
  const choices = Array.from({ length: work.requests.length * work.choices }, () => ({
    text: [] as string[],
    tokens: [] as ToldToken[],
    finish: null as Piece["finish"],
  }));
  for await (const piece of pieces(work, tokenizer, events)) {
    if ("kind" in piece) continue;
    const choice = choices[piece.index]!;
    choice.text.push(piece.text);
    for (const token of piece.tokens) choice.tokens.push(token);
    choice.finish = piece.finish;
  }
  return {
    id: head.id,
    object: shape.wholeObject,
    created: head.created,
    model: head.model,
    system_fingerprint: null,
    choices: choices.map(({ text, ...rest }, index) => shape.whole({ ...rest, index, text: text.join("") })),
    usage: tally.usage,
  };
}

/** The chunks of an answer that is streamed, each as the JSON of an event; the last says that it is over. */
export async function* chunks({
  work,
  shape,
  head,
  tokenizer,
  tally,
  events,
}: Answering): AsyncGenerator<string, void, void> {
  const chunk = (choices: readonly object[], usage: object | null): string =>
    JSON.stringify({
      id: head.id,
      object: shape.chunkObject,
      created: head.created,
      model: head.model,
      system_fingerprint: null,
      choices,
      ...(work.includeUsage && { usage }),
    });
  for await (const piece of pieces(work, tokenizer, events)) {
    const choice = "kind" in piece ? shape.opening(piece.index) : shape.part(piece);
    if (choice !== undefined) yield chunk([choice], null);
  }
  if (work.includeUsage) yield chunk([], tally.usage);
  yield "[DONE]";
}
