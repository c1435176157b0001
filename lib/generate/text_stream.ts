/**
 * The text of an answer while its tokens come. A character is told when its last byte is there, and what may be the
 * beginning of a stop text is held back until it is not.
 */
export class TextStream {
  private readonly decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  private held = "";

  constructor(private readonly stop: readonly string[]) {}

  /** What is now sure of the text; `isStopped` where a stop text has come, of which nothing is told. */
  push(bytes: Uint8Array): { readonly text: string; readonly isStopped: boolean } {
    this.held += this.decoder.decode(bytes, { stream: true });
    const at = this.firstStop();
    if (at !== undefined) return { text: this.tell(at), isStopped: true };
    return { text: this.tell(this.held.length - this.possibleStop()), isStopped: false };
  }

  /** The rest of the text: half a character becomes U+FFFD, and no stop text will come. */
  end(): string {
    this.held += this.decoder.decode();
    return this.tell(this.firstStop() ?? this.held.length);
  }

  private tell(length: number): string {
    const text = this.held.slice(0, length);
    this.held = this.held.slice(length);
    return text;
  }

  private firstStop(): number | undefined {
    const found = this.stop.map((text) => this.held.indexOf(text)).filter((at) => at >= 0);
    return found.length > 0 ? Math.min(...found) : undefined;
  }

  /** Length of the longest end of what is held that a stop text begins with. */
  private possibleStop(): number {
    let longest = 0;
    for (const text of this.stop) {
      for (let length = Math.min(text.length - 1, this.held.length); length > longest; length--) {
        if (this.held.endsWith(text.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
