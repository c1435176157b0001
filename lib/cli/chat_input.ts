const BLOCK = '"""';

/** Makes messages of lines: a line that ends with a backslash goes on in the next, and """ begins and ends a block of lines. */
export class ChatInput {
  private lines: string[] = [];
  private isBlock = false;

  /** Whether a message was begun and has not ended. */
  get isOpen(): boolean {
    return this.lines.length > 0;
  }

  /** Takes a line; the message where it ends one. */
  push(line: string): string | undefined {
    let text = line;
    if (!this.isOpen && line.startsWith(BLOCK)) {
      this.isBlock = true;
      text = line.slice(BLOCK.length);
    }
    if (this.isBlock) {
      const ends = text.endsWith(BLOCK);
      this.lines.push(ends ? text.slice(0, -BLOCK.length) : text);
      return ends ? this.end() : undefined;
    }
    const goesOn = text.endsWith("\\");
    this.lines.push(goesOn ? text.slice(0, -1) : text);
    return goesOn ? undefined : this.end();
  }

  /** What has come of a message, which thereby ends. The lines of the marks themselves are left out if they are empty. */
  end(): string {
    const lines = this.lines;
    if (this.isBlock && lines[0] === "") lines.shift();
    if (this.isBlock && lines.at(-1) === "") lines.pop();
    this.lines = [];
    this.isBlock = false;
    return lines.join("\n");
  }
}
