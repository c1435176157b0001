import { createInterface, type Interface } from "node:readline";
import { type Readable, Writable } from "node:stream";
import pc from "picocolors";

/** Where a chat is typed and shown: answers go to `stdout`, everything else to `stderr`. */
export interface ChatStreams {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable;
  readonly stderr: Writable & { readonly isTTY?: boolean; readonly columns?: number };
}

export interface TerminalOptions {
  /** Lines typed before, the latest first. */
  readonly history?: readonly string[] | undefined;
  /** Is told of every line that is added to the history. */
  readonly onHistory?: ((line: string) => void) | undefined;
  /** Is told of Ctrl-C. */
  readonly onInterrupt: () => void;
  readonly colours: boolean;
}

/**
 * Reads lines, with editing and history where a person types them, and shows what was said. Where the input or stderr is no
 * terminal there are no prompts and no colours.
 */
export class ChatTerminal {
  readonly isInteractive: boolean;
  readonly colours: ReturnType<typeof pc.createColors>;
  private readonly readline: Interface;
  private readonly screen: Screen;
  private readonly lines: string[] = [];
  private isEnded = false;
  private isAsking = false;
  private wake = (): void => undefined;

  constructor(
    private readonly streams: ChatStreams,
    { history, onHistory, onInterrupt, colours }: TerminalOptions,
  ) {
    const { stdin, stderr } = streams;
    this.isInteractive = stdin.isTTY === true && stderr.isTTY === true;
    this.colours = pc.createColors(colours);
    this.screen = new Screen(stderr);
    this.readline = createInterface({
      input: stdin,
      output: this.screen,
      terminal: this.isInteractive,
      history: [...(history ?? [])],
      historySize: 1000,
      removeHistoryDuplicates: true,
    });
    this.readline.on("line", (line) => {
      this.lines.push(line);
      if (!this.isInteractive) this.readline.pause(); // a long input waits in its pipe; a person's Ctrl-C is listened to
      this.wake();
    });
    this.readline.on("close", () => {
      this.isEnded = true;
      this.wake();
    });
    this.readline.on("SIGINT", onInterrupt);
    streams.stdout.on("error", ({ message }) => {
      this.note(`stdout: ${message}`); // whoever read the answers is gone, or the disk is full
      onInterrupt();
    });
    this.readline.on("history", ([latest]) => onHistory?.(latest!));
  }

  /** The next line, or undefined after the last. What was typed before it was asked for is taken first. */
  async nextLine(prompt: string): Promise<string | undefined> {
    this.readline.setPrompt(prompt);
    this.isAsking = true;
    this.screen.isOn = this.isInteractive;
    if (this.lines.length === 0 && !this.isEnded) {
      if (this.isInteractive) this.readline.prompt(true);
      else this.readline.resume();
    } else if (this.isInteractive && this.lines.length > 0) this.screen.write(`${prompt}${this.lines[0]}\n`);
    while (this.lines.length === 0 && !this.isEnded) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    this.isAsking = false;
    this.screen.isOn = false; // what is typed while an answer comes is shown when it has ended
    return this.lines.shift();
  }

  /** Whether something stands on the line that is being typed. */
  get isTyping(): boolean {
    return this.isAsking && this.readline.line !== "";
  }

  /** Throws away what stands on the line that is being typed, and asks again, below a note if there is one. */
  startOver(prompt: string, note?: string): void {
    this.readline.write(null, { ctrl: true, name: "e" });
    this.readline.write(null, { ctrl: true, name: "u" });
    if (note !== undefined) this.note(`\n${this.colours.dim(note)}`);
    this.readline.setPrompt(prompt);
    this.readline.prompt();
  }

  /** Ends the input. */
  close(): void {
    this.readline.close();
  }

  /** A piece of an answer. */
  write(text: string): void {
    this.streams.stdout.write(text);
  }

  /** A line that is no answer. */
  note(line: string): void {
    this.streams.stderr.write(`${line}\n`);
  }
}

/** What readline draws on, which can be turned off. It has the width of the terminal behind it. */
class Screen extends Writable {
  isOn = false;

  constructor(private readonly terminal: ChatStreams["stderr"]) {
    super({ decodeStrings: false });
    terminal.on("resize", () => this.emit("resize"));
  }

  get columns(): number {
    return this.terminal.columns ?? 80;
  }

  override _write(chunk: string | Uint8Array, _encoding: BufferEncoding, done: () => void): void {
    if (this.isOn) this.terminal.write(chunk);
    done();
  }
}
