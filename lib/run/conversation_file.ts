import { readFile } from "node:fs/promises";
import { dirname } from "node:path";

import { DataError, FileError } from "../base/errors.js";
import { makeFolder, writeFileAtomic } from "../base/files.js";
import { toMessages } from "../data/messages.js";
import { readRows, type SourceRow } from "../data/source.js";
import type { Message } from "../text/chat_template.js";

/** Adds a chat to a JSON lines file, as a row with `messages`, which `westwind sft` reads. Throws FileError. */
export async function saveConversation(path: string, messages: readonly Message[]): Promise<void> {
  if (!path.endsWith(".jsonl")) throw new FileError(path, "expected the name of a .jsonl file");
  await makeFolder(dirname(path));
  const before = await readFile(path, "utf8").catch((cause) => {
    if (cause.code === "ENOENT") return "";
    throw new FileError(path, cause.message, { cause });
  });
  const gap = before === "" || before.endsWith("\n") ? "" : "\n";
  await writeFileAtomic(path, `${before}${gap}${JSON.stringify({ messages })}\n`);
}

/** The chat of a file's last row. Throws FileError, and DataError for a row that holds none. */
export async function loadConversation(path: string): Promise<Message[]> {
  let last: SourceRow | undefined;
  for await (const row of readRows(path)) last = row;
  const { source, index, fields } = last!; // a file without rows is an error
  const messages = toMessages({ source, index }, "messages", fields.messages);
  const stray = messages.findIndex(({ role }, at) => role === "system" && at > 0);
  if (stray < 0) return messages;
  throw new DataError({ source, index }, `messages[${stray}].role: system, expected it to be the first message`);
}
