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
  /** Its commit, if it is one of the hub's. */
  readonly commit?: string | undefined;
}
