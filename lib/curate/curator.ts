import { createHash } from "node:crypto";
import { DataError } from "../base/errors.js";
import { parseRow, type RawRow } from "../data/raw_row.js";
import type { RowBlock } from "../data/row_blocks.js";
import { Tokenizer } from "../text/tokenizer.js";
import { findBenchmark } from "./benchmarks.js";
import type { ChangedRow, CuratedBlock, Curation, DroppedRow, KeptRow } from "./curation.js";
import { type Dialogue, isDrop, toDialogue } from "./dialogue.js";
import type { Drop } from "./drops.js";
import type { TextKey } from "./exact_duplicates.js";
import { excerpt, excerptAround } from "./excerpt.js";
import { normalise } from "./normalise.js";
import { findRefusal } from "./refusals.js";
import { Sketcher } from "./sketch.js";
import { hashText } from "./text_hash.js";
import { truecaseDialogue } from "./truecase.js";
import { Words } from "./words.js";

/** Takes blocks of rows through the steps that look at a row alone. */
export class Curator {
  private readonly words: Words[] = []; // of a dialogue's messages
  private readonly sketcher: Sketcher;

  private constructor(
    private readonly curation: Curation,
    private readonly tokenizer: Tokenizer | undefined,
  ) {
    this.sketcher = new Sketcher(curation.shingle, curation.seed);
  }

  static async load(curation: Curation): Promise<Curator> {
    const { tokenizerFolder } = curation;
    return new Curator(curation, tokenizerFolder === undefined ? undefined : await Tokenizer.load(tokenizerFolder));
  }

  curate({ bytes, rows }: RowBlock): CuratedBlock {
    const lines: Buffer[] = [];
    const sketches: Uint8Array[] = [];
    const kept: KeptRow[] = [];
    const dropped: DroppedRow[] = [];
    const changed: ChangedRow[] = [];
    const isShown = atMost(this.curation.examples);
    let [begin, end] = [0, 0];
    for (const [at, { source, index, end: rowEnd }] of rows.entries()) {
      const found = this.read({ source, index, bytes: bytes.subarray(begin, rowEnd) });
      begin = rowEnd;
      if (isDrop(found)) {
        dropped.push({ at, ...found });
        continue;
      }
      if (found.isCut) changed.push({ at, change: "lastTurnCut", ...(isShown("lastTurnCut") && shapeOf(found)) });
      const dialogue = this.curation.truecase ? truecaseDialogue(found) : found;
      if (dialogue !== found) {
        changed.push({ at, change: "truecased", ...(isShown("truecased") && difference(found, dialogue)) });
      }
      const words = dialogue.messages.map(({ content }, i) => this.wordsOf(i).read(content));
      const drop = this.inspect(dialogue, words);
      if (drop !== undefined) {
        dropped.push({ at, ...drop, ...(isShown(drop.reason) && { text: excerpt(dialogue.prompt) }) });
        continue;
      }
      const line = this.lineOf(dialogue);
      lines.push(line);
      end += line.length;
      const row = { at, end, ...this.factsOf(dialogue, words) };
      kept.push(row);
      if (this.curation.nearDuplicates !== "off") sketches.push(this.sketchOf(dialogue, words, row.key));
    }
    return { kept, dropped, changed, lines: joined(lines), sketches: joined(sketches) };
  }

  private read(raw: RawRow): Dialogue | Drop {
    try {
      return toDialogue(parseRow(raw));
    } catch (error) {
      if (error instanceof DataError) return { step: "shape", reason: "unreadable", detail: error.fact };
      throw error;
    }
  }

  /** The place of a message's words, which the next dialogue's takes. */
  private wordsOf(message: number): Words {
    while (message >= this.words.length) this.words.push(new Words());
    return this.words[message]!;
  }

  private inspect(dialogue: Dialogue, words: readonly Words[]): Drop | undefined {
    const { refusals, benchmarks } = this.curation;
    return (refusals && findRefusal(refusals, dialogue, words)) ?? (benchmarks && findBenchmark(benchmarks, words));
  }

  private lineOf({ prompt, messages, source = this.curation.source }: Dialogue): Buffer {
    const prompt_id = createHash("sha256").update(prompt).digest("hex");
    return Buffer.from(`${JSON.stringify({ prompt, prompt_id, messages, source })}\n`);
  }

  private sketchOf({ messages }: Dialogue, words: readonly Words[], [key]: TextKey): Uint8Array {
    const first = messages.findIndex(({ role }) => role === "user");
    const isWhole = this.curation.nearDuplicates === "dialogue";
    for (const [i, each] of words.entries()) if (isWhole || i === first) this.sketcher.add(each);
    return Uint8Array.from(this.sketcher.finish(key)); // what has no words is like nothing else
  }

  private factsOf(dialogue: Dialogue, words: readonly Words[]): Omit<KeptRow, "at" | "end"> {
    const { messages, source = this.curation.source } = dialogue;
    const prompt = hashText(normalise(dialogue.prompt));
    const { key } = this.curation.exactDuplicates === "dialogue" ? hashText(normalised(dialogue)) : prompt;
    const sum = (lengths: readonly number[]): number => lengths.reduce((a, b) => a + b, 0);
    return {
      key,
      isTest: prompt.share < this.curation.testShare,
      source,
      turns: messages.length,
      characters: sum(messages.map(({ content }) => content.length)),
      words: sum(words.map(({ count }) => count)),
      tokens: this.tokenizer && sum(messages.map(({ content }) => this.tokenizer!.encode(content).length)),
    };
  }
}

/** Says of the first so many of each kind that they are among them. */
function atMost(many: number): (kind: string) => boolean {
  const counts = new Map<string, number>();
  return (kind) => {
    const count = counts.get(kind) ?? 0;
    counts.set(kind, count + 1);
    return count < many;
  };
}

const shapeOf = ({ prompt, messages }: Dialogue) => ({
  text: excerpt(prompt),
  detail: `${messages.length} turns stay`,
});

function difference(before: Dialogue, after: Dialogue): { readonly text: string; readonly detail: string } {
  const which = before.messages.findIndex(({ content }, i) => content !== after.messages[i]!.content);
  const [was, is] = [before.messages[which]!.content, after.messages[which]!.content];
  let at = 0;
  while (was[at] === is[at]) at++;
  return { text: excerptAround(was, at), detail: excerptAround(is, at) };
}

const normalised = ({ messages }: Dialogue): string =>
  JSON.stringify(messages.map(({ role, content }) => [role, normalise(content)]));

const joined = (parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.concat(parts));
