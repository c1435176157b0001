import { AbortedError, type AnswerOptions, type Conversation, showNumber, WestwindError } from "../index.js";
import { type ChatState, count, runCommand } from "./chat_commands.js";
import { ChatInput } from "./chat_input.js";
import type { ChatTerminal } from "./chat_terminal.js";
import type { Settings } from "./settings.js";

/** One chat at a terminal or through pipes, from the first line to the last. */
export class ChatSession {
  private readonly input = new ChatInput();
  private readonly prompt: string;
  private readonly state: ChatState;
  private answering: AbortController | undefined;
  private isLeaving = false;
  private wasInterrupted = false;

  constructor(
    private readonly conversation: Conversation,
    private readonly terminal: ChatTerminal,
    private readonly settings: Settings,
    facts: ChatState["facts"],
  ) {
    this.prompt = terminal.colours.bold("> ");
    this.state = {
      conversation,
      settings,
      facts,
      note: (text) => terminal.note(text),
      show: (ask) => this.show(ask),
      leave: () => this.leave(),
    };
  }

  /**
   * Reads and answers until the input ends. A person is told what a line is refused for; where nobody types it is thrown,
   * and AbortedError after Ctrl-C.
   */
  async run(): Promise<void> {
    const { terminal, input } = this;
    const more = terminal.colours.dim(". ");
    while (!this.isLeaving) {
      const line = await terminal.nextLine(input.isOpen ? more : this.prompt);
      if (line === undefined) {
        if (terminal.isInteractive) terminal.note("");
        else if (input.isOpen) await this.take(input.end());
        break;
      }
      this.wasInterrupted = false;
      if (!input.isOpen && line.startsWith("/")) {
        await this.take(line, true);
        continue;
      }
      const text = input.push(line);
      if (text !== undefined && text.trim() !== "") await this.take(text);
    }
    terminal.close();
    if (this.wasInterrupted && !terminal.isInteractive) throw new AbortedError(0, "stopped");
  }

  /**
   * Ctrl-C: stops the answer that is coming; at the prompt it drops what was typed. The second in a row leaves, so that one
   * that comes just after an answer has ended does not. Where nobody types the first leaves.
   */
  interrupt(): void {
    const { terminal, input, answering, wasInterrupted } = this;
    this.wasInterrupted = true;
    answering?.abort();
    if (!terminal.isInteractive) this.leave();
    else if (answering === undefined) {
      const drops = input.isOpen || terminal.isTyping;
      if (drops) {
        input.end();
        terminal.startOver(this.prompt);
      } else if (wasInterrupted) this.leave();
      else terminal.startOver(this.prompt, "once more, or Ctrl-D, to leave");
    }
  }

  private leave(): void {
    this.isLeaving = true;
    this.terminal.close();
  }

  private async take(text: string, isCommand = false): Promise<void> {
    try {
      await (isCommand ? runCommand(text, this.state) : this.show((options) => this.conversation.say(text, options)));
    } catch (error) {
      if (!this.terminal.isInteractive || !(error instanceof WestwindError)) throw error;
      this.terminal.note(this.terminal.colours.red(error.message));
    }
  }

  private async show(ask: (options: AnswerOptions) => AsyncIterable<string>): Promise<void> {
    const { terminal } = this;
    const start = performance.now();
    const controller = new AbortController();
    this.answering = controller;
    let isBegun = false;
    try {
      for await (const piece of ask({ ...this.settings, signal: controller.signal })) {
        terminal.write(piece);
        isBegun = true;
      }
      isBegun = true; // an empty answer takes a line too
    } finally {
      this.answering = undefined;
      if (isBegun) terminal.write("\n");
    }
    this.tellOfAnswer((performance.now() - start) / 1000);
  }

  private tellOfAnswer(seconds: number): void {
    const { terminal, conversation, settings } = this;
    const { numTokens, finish, droppedTurns } = conversation.lastAnswer!;
    if (droppedTurns > 0) terminal.note(`the context was full: the oldest ${count(droppedTurns, "turn")} dropped`);
    if (!terminal.isInteractive) return;
    const parts = [count(numTokens, "token"), `${showNumber(numTokens / seconds)} tokens/s`];
    if (finish === "aborted") parts.push("stopped");
    if (finish === "length") {
      const isCut = numTokens === settings.maxNewTokens;
      parts.push(
        isCut ? `cut at max_new_tokens, ${numTokens}` : `cut: the context of ${conversation.maxTokens} is full`,
      );
    }
    terminal.note(terminal.colours.dim(parts.join(", ")));
  }
}
