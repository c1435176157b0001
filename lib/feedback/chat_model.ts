import type { Message } from "../text/chat_template.js";

/** How an answer is drawn. What is not set is the model's own default. */
export interface ChatOptions {
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  /** Most tokens of the answer. */
  readonly maxTokens?: number | undefined;
  readonly seed?: number | undefined;
  readonly stop?: readonly string[] | undefined;
  /** A JSON schema that the answer is to follow, where the model can be held to one. */
  readonly schema?: { readonly name: string; readonly schema: object } | undefined;
  /** Ends it with an AbortedError. */
  readonly signal?: AbortSignal | undefined;
}

export interface ChatAnswer {
  readonly text: string;
  /** `stop`: the model ended it. `length`: as many tokens as were allowed. `filter`: the endpoint held it back. */
  readonly finish: "stop" | "length" | "filter";
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** Anything that answers a chat: an endpoint that speaks OpenAI's protocol, a model of this machine. */
export interface ChatModel {
  /** As rows name it. */
  readonly name: string;
  /** Answers once. Throws a WestwindError when it cannot, having tried as often as it was told to. */
  answer(messages: readonly Message[], options?: ChatOptions): Promise<ChatAnswer>;
  /** Natural logarithm of the probability of each continuation of the chat, where the model can tell. */
  logProbs?(
    messages: readonly Message[],
    continuations: readonly string[],
    signal?: AbortSignal,
  ): Promise<readonly number[]>;
}
