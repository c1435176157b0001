import { ConfigError } from "../base/errors.js";
import type { Message } from "../text/chat_template.js";
import type { GenerationRequest } from "./request.js";
import type { TextModel } from "./text_model.js";

export type AnswerOptions = Omit<GenerationRequest, "prompt" | "choices" | "logprobs" | "promptLogprobs">;

/** What became of the last question. */
export interface Answer {
  readonly text: string;
  /** `aborted`: the signal was raised, or the iteration abandoned. */
  readonly finish: "stop" | "length" | "aborted";
  readonly promptTokens: number;
  /** Of the prompt's tokens, how many the engine had computed before. */
  readonly cachedTokens: number;
  readonly numTokens: number;
  /** Turns that were dropped for this answer, since the context was full. */
  readonly droppedTurns: number;
}

/** The share of the context that is left for an answer before turns are dropped. */
const ANSWER_SHARE = 1 / 4;
/** The share that the prompt takes at most after turns were dropped: many at once, since the engine then reads it anew. */
const KEPT_SHARE = 1 / 2;

/**
 * A chat with a model: what was said, and the next answer. When the context is full the oldest turns are dropped: the model
 * no longer sees them, while the system message stays. `messages` keeps everything.
 */
export class Conversation {
  lastAnswer: Answer | undefined;
  private systemText: string | undefined;
  private history: Message[] = []; // without the system's
  private numDropped = 0; // messages at its beginning that the model no longer sees
  private isAnswering = false;

  constructor(private readonly model: TextModel) {}

  /** All that was said, the system message first. */
  get messages(): readonly Message[] {
    return [...this.systemMessages, ...this.history];
  }

  /** Takes over a chat. Throws ConfigError for a system message that is not the first. */
  set messages(messages: readonly Message[]) {
    this.expectNoAnswer();
    const [first, ...others] = messages;
    const system = first?.role === "system" ? first : undefined;
    const stray = messages.findIndex(({ role }, at) => role === "system" && at > 0);
    if (stray > 0) {
      throw new ConfigError(`messages[${stray}].role`, "system, expected the system's message to be the first");
    }
    this.system = system?.content;
    this.history = system === undefined ? [...messages] : others;
    this.numDropped = 0;
    this.lastAnswer = undefined;
  }

  /** What the system says before everything else. Setting it throws ConfigError where the template has no place for it. */
  get system(): string | undefined {
    return this.systemText;
  }

  set system(text: string | undefined) {
    this.expectNoAnswer();
    if (text !== undefined && !this.model.template.knowsSystem) {
      throw new ConfigError("system", "the chat template has no place for a system message");
    }
    this.systemText = text;
  }

  /** Positions of the model: most tokens of prompt and answer together. */
  get maxTokens(): number {
    return this.model.engine.maxTokens;
  }

  /** Tokens of what the model sees of the chat. */
  get numTokens(): number {
    return this.history.length === 0 ? 0 : this.encode(this.history.slice(this.numDropped)).length;
  }

  /** Turns that the model no longer sees. */
  get droppedTurns(): number {
    return turnStarts(this.history).filter((at) => at < this.numDropped).length;
  }

  /**
   * Says something and gives the answer as pieces of text while it comes; `lastAnswer` tells of it afterwards. With the
   * signal, or when the iteration is abandoned, the answer ends and what was said of it is kept. Throws ConfigError for a
   * message that does not fit into the context alone, and what the engine throws; the chat is then as it was.
   */
  say(text: string, options: AnswerOptions = {}): AsyncGenerator<string, void, void> {
    return this.answer([...this.history, { role: "user", content: text }], options);
  }

  /** Answers the last message of the user again, in place of the answer it has. Throws ConfigError where there is none. */
  retry(options: AnswerOptions = {}): AsyncGenerator<string, void, void> {
    return this.answer(this.history.slice(0, this.lastQuestion("answer again") + 1), options);
  }

  /** Takes the last message of the user and its answer back, and returns what the user said. Throws ConfigError where there is none. */
  undo(): string {
    this.expectNoAnswer();
    const at = this.lastQuestion("take back");
    const { content } = this.history[at]!;
    this.keep(this.history.slice(0, at));
    return content;
  }

  /** Forgets what was said, but for the system message. */
  reset(): void {
    this.expectNoAnswer();
    this.keep([]);
  }

  private keep(history: Message[]): void {
    this.history = history;
    if (this.numDropped >= history.length) this.numDropped = 0;
    this.lastAnswer = undefined;
  }

  private async *answer(messages: Message[], options: AnswerOptions): AsyncGenerator<string, void, void> {
    this.expectNoAnswer();
    this.isAnswering = true;
    let text = "";
    let [finish, cachedTokens, numTokens]: [Answer["finish"], number, number] = ["aborted", 0, 0];
    let hasFailed = false;
    try {
      const { ids, numDropped } = this.fit(messages, options.maxNewTokens);
      try {
        for await (const event of this.model.engine.generate({ ...options, prompt: ids })) {
          if (event.kind === "prompt") {
            cachedTokens = event.cachedTokens;
            continue;
          }
          numTokens = event.kind === "end" ? event.numTokens : numTokens + 1;
          if (event.kind === "end") finish = event.finish;
          text += event.text;
          if (event.text !== "") yield event.text;
        }
      } catch (error) {
        hasFailed = options.signal?.aborted !== true;
        if (hasFailed) throw error;
      } finally {
        if (!hasFailed) {
          const droppedTurns = turnStarts(messages).filter((at) => at >= this.numDropped && at < numDropped).length;
          this.history = [...messages, { role: "assistant", content: text }];
          this.numDropped = numDropped;
          this.lastAnswer = { text, finish, promptTokens: ids.length, cachedTokens, numTokens, droppedTurns };
        }
      }
    } finally {
      this.isAnswering = false;
    }
  }

  /** The tokens of a chat that is to be answered, without as many of its oldest turns as have to go. */
  private fit(messages: readonly Message[], maxNewTokens: number | undefined): { ids: Int32Array; numDropped: number } {
    const room = Math.min(maxNewTokens ?? this.maxTokens, Math.ceil(this.maxTokens * ANSWER_SHARE));
    const asBefore = this.encode(messages.slice(this.numDropped));
    if (asBefore.length + room <= this.maxTokens) return { ids: asBefore, numDropped: this.numDropped };

    const starts = turnStarts(messages).filter((at) => at > this.numDropped);
    let [low, high] = [0, starts.length - 1]; // the first start from which the rest is short enough, or the last
    while (low < high) {
      const middle = (low + high) >> 1;
      const isShort = this.encode(messages.slice(starts[middle])).length <= this.maxTokens * KEPT_SHARE;
      if (isShort) high = middle;
      else low = middle + 1;
    }
    const numDropped = starts[low] ?? this.numDropped;
    const ids = this.encode(messages.slice(numDropped));
    if (ids.length < this.maxTokens) return { ids, numDropped };
    const what = this.systemText === undefined ? "the message has" : "the message and the system's have";
    throw new ConfigError("messages", `${what} ${ids.length} tokens, expected fewer than ${this.maxTokens}`);
  }

  private encode(messages: readonly Message[]): Int32Array {
    const addGenerationPrompt = messages.at(-1)?.role !== "assistant";
    const text = this.model.template.render([...this.systemMessages, ...messages], { addGenerationPrompt });
    return this.model.tokenizer.encode(text);
  }

  private get systemMessages(): Message[] {
    return this.systemText === undefined ? [] : [{ role: "system", content: this.systemText }];
  }

  private lastQuestion(purpose: string): number {
    const at = this.history.findLastIndex(({ role }) => role === "user");
    if (at < 0) throw new ConfigError("messages", `nothing was said yet, expected a message to ${purpose}`);
    return at;
  }

  private expectNoAnswer(): void {
    if (this.isAnswering) throw new ConfigError("messages", "an answer is on its way, expected it to have ended");
  }
}

/** Where turns begin: at each message of the user. */
const turnStarts = (messages: readonly Message[]): number[] =>
  messages.flatMap(({ role }, at) => (role === "user" ? [at] : []));
