import { setImmediate } from "node:timers/promises";

import { AbortedError, ConfigError } from "../../lib/base/errors.js";
import type { GenerationEvent, GenerationRequest, TextGenerator } from "../../lib/generate/request.js";
import type { LoadedTextModel } from "../../lib/generate/text_model.js";
import { ChatTemplate } from "../../lib/text/chat_template.js";

/** `[user]Hi[assistant]Hello.[user]And?[assistant]`: a character a token, so that lengths can be counted by eye. */
const TEMPLATE =
  "{% for m in messages %}{% if m.content == 'refuse' %}{{ raise_exception('not this') }}{% endif %}" +
  "[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}{# no system #}";

/** Answers by a function of the prompt, a token for each piece. */
export class FakeEngine implements TextGenerator {
  maxTokens = 1000;
  /** What the prompt is answered with; an error is thrown in its place. */
  reply: (prompt: string, choice: number) => readonly (string | Error)[] = (prompt) => [...`echo ${lastOf(prompt)}`];
  /** Waits before each piece. */
  pace: (prompt: string) => Promise<unknown> = () => setImmediate();
  readonly requests: GenerationRequest[] = [];
  numRunning = 0;
  mostRunning = 0;

  get prompts(): string[] {
    return this.requests.map(({ prompt }) => textOf(prompt));
  }

  get stats() {
    const counts = { pagesUsed: 0, pagesKept: 0, pages: 0, promptTokens: 0, cachedTokens: 0, generatedTokens: 0 };
    return { ...counts, running: this.numRunning, waiting: 0, steps: 0, preemptions: 0, hasFailed: false };
  }

  async *generate(request: GenerationRequest): AsyncGenerator<GenerationEvent, void, void> {
    this.requests.push(request);
    this.mostRunning = Math.max(this.mostRunning, ++this.numRunning);
    try {
      yield* this.events(request);
    } finally {
      this.numRunning--;
    }
  }

  private async *events(request: GenerationRequest): AsyncGenerator<GenerationEvent, void, void> {
    const prompt = textOf(request.prompt);
    const limit = Math.min(request.maxNewTokens ?? this.maxTokens, this.maxTokens - request.prompt.length);
    if (limit <= 0) throw new ConfigError("prompt", "no room");
    const stopped = new Promise<void>((resolve) => {
      request.signal?.addEventListener("abort", () => resolve(), { once: true });
    });
    yield { kind: "prompt", cachedTokens: 0 };
    for (let choice = 0; choice < (request.choices ?? 1); choice++) {
      const pieces = this.reply(prompt, choice);
      let id = 0;
      for (const text of pieces.slice(0, limit)) {
        await Promise.race([this.pace(prompt), stopped]);
        if (request.signal?.aborted) throw new AbortedError(0, `stopped after ${id} of at most ${limit} tokens`);
        if (text instanceof Error) throw text;
        const score = {
          id,
          bytes: Buffer.from(text),
          logprob: -0.5,
          top: [{ id, bytes: Buffer.from(text), logprob: -0.5 }],
        };
        yield { kind: "token", choice, id: id++, text, ...(request.logprobs !== undefined && { score }) };
      }
      const finish = pieces.length > limit ? "length" : "stop";
      yield { kind: "end", choice, finish, text: "", numTokens: Math.min(pieces.length, limit) };
    }
  }
}

export const textOf = (ids: Int32Array): string => String.fromCodePoint(...ids);

/** What the user said last. */
const lastOf = (prompt: string): string => /(?:.*\[user\]|^)([\s\S]*?)(?:\[assistant\])?$/s.exec(prompt)![1]!;

export function fakeModel(engine: FakeEngine, source = TEMPLATE): LoadedTextModel & { isDisposed: boolean } {
  return {
    engine,
    tokenizer: {
      encode: (text, options) => {
        const ids = Array.from(text, (character) => character.codePointAt(0)!);
        return Int32Array.from(options?.addSpecialTokens ? ["^".codePointAt(0)!, ...ids] : ids);
      },
    },
    template: new ChatTemplate(source, {}),
    device: "a fake",
    isDisposed: false,
    async [Symbol.asyncDispose]() {
      this.isDisposed = true;
    },
  };
}
