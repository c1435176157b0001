import { appendFile, readFile, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";

import { makeFolder } from "../base/files.js";

/** Lines that are kept. The file is cut to as many when it holds twice that. */
const KEPT = 1000;

/** `westwind/chat_history` under $XDG_STATE_HOME, which has to be a whole path, or ~/.local/state. */
export function historyPath(environment: NodeJS.ProcessEnv = process.env): string {
  const asked = environment.XDG_STATE_HOME;
  const folder = asked && isAbsolute(asked) ? asked : join(homedir(), ".local", "state");
  return join(folder, "westwind", "chat_history");
}

/** The lines typed before, in a file that only its user can read. Several chats may add to it at the same time. */
export class ChatHistory {
  private constructor(
    private readonly path: string,
    /** The latest first, as readline has them. */
    readonly lines: readonly string[],
  ) {}

  /** Reads what there is. Throws FileError for a folder that cannot be made, and the system's errors for the file. */
  static async open(path: string): Promise<ChatHistory> {
    await makeFolder(dirname(path));
    await appendFile(path, "", { mode: 0o600 });
    const lines = (await readFile(path, "utf8")).split("\n").filter((line) => line !== "");
    const kept = lines.slice(-KEPT);
    if (lines.length > 2 * KEPT) await writeFile(path, `${kept.join("\n")}\n`); // in place, which keeps who may read it
    return new ChatHistory(path, kept.reverse());
  }

  async add(line: string): Promise<void> {
    await appendFile(this.path, `${line}\n`, { mode: 0o600 });
  }
}
