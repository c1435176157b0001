import { ConfigError } from "../base/errors.js";
import { BUILTIN_TEMPLATES, isBuiltinTemplateName } from "./builtin_templates.js";
import { hasGenerationBlocks, markGenerationBlocks, readGenerationMarks } from "./generation_blocks.js";
import { type Program, parseJinja, renderJinja } from "./jinja.js";
import { TemplateError } from "./template_error.js";
import type { Tokenizer } from "./tokenizer.js";

export { TemplateError };

export interface Message {
  readonly role: string;
  readonly content: string;
}

/** A part of a text, in UTF-16 units: [begin, end). */
export interface Span {
  readonly begin: number;
  readonly end: number;
}

/** What a template may write around the messages: `bos_token` and so on. One that is missing renders as nothing. */
export interface TemplateTokens {
  readonly bosToken?: string | undefined;
  readonly eosToken?: string | undefined;
  readonly padToken?: string | undefined;
  readonly unkToken?: string | undefined;
}

/** A Jinja chat template, rendered as transformers' apply_chat_template renders it. */
export class ChatTemplate {
  private readonly program: Program;
  private readonly marked: Program | undefined;
  private readonly tokens: Readonly<Record<string, string>>;
  /** Whether the template has a place for a system message, by the alignment-handbook's test. */
  readonly knowsSystem: boolean;

  /** Throws ConfigError where `source` is no Jinja. */
  constructor(
    readonly source: string,
    tokens: TemplateTokens,
  ) {
    try {
      this.program = parseJinja(source);
      this.marked = hasGenerationBlocks(source) ? parseJinja(markGenerationBlocks(source)) : undefined;
    } catch (error) {
      throw new ConfigError("chat_template", `${(error as Error).message}; expected a Jinja chat template`);
    }
    this.knowsSystem = source.includes("system") || source.includes("<|im_start|>");
    const named = [
      ["bos_token", tokens.bosToken],
      ["eos_token", tokens.eosToken],
      ["pad_token", tokens.padToken],
      ["unk_token", tokens.unkToken],
    ] as const;
    this.tokens = Object.fromEntries(
      named.filter((entry): entry is [(typeof entry)[0], string] => entry[1] !== undefined),
    );
  }

  /** The text of a chat; with `addGenerationPrompt`, up to where the assistant's next words begin. Throws TemplateError. */
  render(messages: readonly Message[], options: { readonly addGenerationPrompt?: boolean } = {}): string {
    return this.run(this.program, messages, options.addGenerationPrompt === true);
  }

  /** The text of a chat and where its {% generation %} blocks lie in it; undefined for a template that has none. */
  renderMarked(messages: readonly Message[]): { readonly text: string; readonly spans: readonly Span[] } | undefined {
    return this.marked === undefined ? undefined : readGenerationMarks(this.run(this.marked, messages, false));
  }

  private run(program: Program, messages: readonly Message[], addGenerationPrompt: boolean): string {
    try {
      return renderJinja(program, {
        ...this.tokens,
        messages,
        tools: null,
        documents: null,
        add_generation_prompt: addGenerationPrompt,
      });
    } catch (error) {
      if (error instanceof TemplateError) throw error;
      throw new TemplateError(this.explain(error as Error), { cause: error });
    }
  }

  private explain(error: Error): string {
    const missing = ["bos_token", "eos_token", "pad_token", "unk_token"].filter(
      (name) => this.source.includes(name) && this.tokens[name] === undefined,
    );
    return missing.length === 0
      ? error.message
      : `${error.message}; it uses ${missing.join(" and ")}, which the tokenizer does not have`;
  }
}

/**
 * The template of a run: a built-in name (zephyr, chatml, llama2, llama3, mistral), a name among the tokenizer's own
 * templates, Jinja source, or, where nothing is named, the tokenizer's own. A tokenizer without one gets zephyr's, as
 * the alignment-handbook does. Throws ConfigError for a name that is none of these.
 */
export function resolveChatTemplate(
  nameOrSource: string | null | undefined,
  tokenizer: Pick<Tokenizer, "chatTemplate" | "chatTemplates"> & TemplateTokens,
): ChatTemplate {
  return new ChatTemplate(templateSource(nameOrSource ?? undefined, tokenizer), tokenizer);
}

function templateSource(
  name: string | undefined,
  tokenizer: Pick<Tokenizer, "chatTemplate" | "chatTemplates">,
): string {
  if (name === undefined) {
    if (tokenizer.chatTemplate !== undefined) return tokenizer.chatTemplate;
    if (tokenizer.chatTemplates.size === 0) return BUILTIN_TEMPLATES.zephyr;
    const names = [...tokenizer.chatTemplates.keys()].join(", ");
    throw new ConfigError("chat_template", `the tokenizer has several, none named "default"; name one of ${names}`);
  }
  if (isBuiltinTemplateName(name)) return BUILTIN_TEMPLATES[name];
  const own = tokenizer.chatTemplates.get(name);
  if (own !== undefined) return own;
  if (/\{[{%]/.test(name)) return name;
  const known = [...Object.keys(BUILTIN_TEMPLATES), ...tokenizer.chatTemplates.keys()].join(", ");
  throw new ConfigError("chat_template", `${JSON.stringify(name)}, expected one of ${known}, or Jinja source`);
}
