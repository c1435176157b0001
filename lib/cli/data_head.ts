import type { Command } from "commander";

import { readRows, type SourceRow, UsageError } from "../index.js";
import { addNumber, POSITIVE, readNumber } from "./settings.js";

interface Flags {
  readonly split: string;
  readonly number: number;
  readonly width: number;
  readonly json?: boolean;
}

export function addHead(data: Command): void {
  const head = data
    .command("head")
    .description("show the first rows, as people read them")
    .argument("<input>", "a file of rows or a folder of them")
    .option("-n, --number <number>", "rows to show", readCount, 3)
    .option("--split <name>", "which files of a folder", "train");
  addNumber(head, "width", { about: "most characters of a text", ...POSITIVE }, 400);
  head.option("--json", "print the rows as they are, one a line").action(async (input: string, flags: Flags) => {
    let isFirst = true;
    for await (const row of readRows(input, { split: flags.split, limit: flags.number })) {
      const gap = isFirst || flags.json ? "" : "\n";
      isFirst = false;
      process.stdout.write(gap + (flags.json ? `${JSON.stringify(row.fields)}\n` : `${show(row, flags.width)}\n`));
    }
  });
}

const readCount = (text: string): number => readNumber(text, POSITIVE, (fact) => new UsageError(`--number: ${fact}`));

/** A row's place, and a line a field; of messages a line a message. Nothing in it steers the terminal. */
function show({ source, index, fields }: SourceRow, width: number): string {
  const lines = Object.entries(fields).flatMap(([name, value]) => {
    if (!Array.isArray(value) || value.length === 0) return [`${name}: ${cut(value, width)}`];
    return [`${name}:`, ...value.map((each) => `  ${isMessage(each) ? showMessage(each, width) : cut(each, width)}`)];
  });
  return [`${source}:${index + 1}`, ...lines].map((line) => line.replace(/\p{Cc}/gu, "\ufffd")).join("\n");
}

type ShownMessage = { readonly role: string; readonly content: string };

const isMessage = (value: unknown): value is ShownMessage =>
  typeof value === "object" && value !== null && "role" in value && "content" in value;

const showMessage = ({ role, content }: ShownMessage, width: number): string => `${role}: ${cut(content, width)}`;

/** Text, or a value as JSON, as one line that is not too long. */
function cut(value: unknown, width: number): string {
  const text = (typeof value === "string" ? value : (JSON.stringify(value) ?? "")).replace(/\s+/g, " ").trim();
  const characters = Array.from(text);
  return characters.length <= width ? text : `${characters.slice(0, width).join("")}... (${characters.length})`;
}
