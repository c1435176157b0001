import type { ChatTemplate } from "../text/chat_template.js";
import type { Tokenizer } from "../text/tokenizer.js";
import type { TextGenerator } from "./request.js";

/** A model that is ready to answer, with what turns chats into its tokens. */
export interface TextModel {
  readonly engine: TextGenerator;
  readonly tokenizer: Pick<Tokenizer, "encode">;
  readonly template: Pick<ChatTemplate, "render" | "knowsSystem">;
}

export interface LoadedTextModel extends TextModel, AsyncDisposable {
  /** What it computes on and in. */
  readonly device: string;
}

/** Makes a model's folder ready to answer; loadEngine is one. */
export type LoadTextModel = (
  folder: string,
  options: {
    readonly device?: string | undefined;
    readonly dtype?: string | undefined;
    readonly threads?: number | undefined;
    readonly chatTemplate?: string | undefined;
  },
) => Promise<LoadedTextModel>;
