import type { Command } from "commander";

import { Conversation, type LoadTextModel } from "../index.js";
import { ChatHistory, historyPath } from "./chat_history.js";
import { ChatSession } from "./chat_session.js";
import { type ChatStreams, ChatTerminal } from "./chat_terminal.js";
import { addModel, addSettings, loadOptionsOf, type ModelFlags, type Settings, settingsOf } from "./settings.js";

export interface ChatFlags extends ModelFlags, Settings {
  readonly system?: string;
  readonly history: boolean;
}

export function addChat(westwind: Command, load: LoadTextModel): void {
  const chat = westwind.command("chat").description("talk with a model; /help there lists the commands");
  addModel(chat);
  chat
    .option("--system <text>", "what the system says before everything else")
    .option("--no-history", "do not keep the lines typed for the next chat")
    .action((flags: ChatFlags) => runChat(flags, load, process));
  addSettings(chat, { maxNewTokens: 1024, temperature: 0.7, topP: 0.95 });
}

/** Loads the model and chats until the input ends. */
export async function runChat(flags: ChatFlags, load: LoadTextModel, streams: ChatStreams): Promise<void> {
  const { model: name, system } = flags;
  await using loaded = await load(name, loadOptionsOf(flags, { terminal: streams.stderr }));
  const conversation = new Conversation(loaded);
  conversation.system = system;
  const isTyped = streams.stdin.isTTY === true && streams.stderr.isTTY === true;
  const note = (line: string): void => void streams.stderr.write(`${line}\n`);
  const history = isTyped && flags.history ? await openHistory(note) : undefined;

  const terminal = new ChatTerminal(streams, {
    history: history?.lines,
    onHistory: (line) => void history?.add(line).catch(() => undefined), // that it cannot be written was said at the start
    onInterrupt: () => session.interrupt(),
    colours: !process.env.NO_COLOR,
  });
  const facts = [
    ["model", loaded.commit === undefined ? name : `${name} at ${loaded.commit}`],
    ["device", loaded.device],
  ] as const;
  const session = new ChatSession(conversation, terminal, settingsOf(flags), facts);
  if (isTyped) note(terminal.colours.dim(`${name} on ${loaded.device}; /help lists the commands`));
  const interrupt = (): void => session.interrupt();
  process.on("SIGINT", interrupt);
  try {
    await session.run();
  } finally {
    process.off("SIGINT", interrupt);
    terminal.close();
  }
}

async function openHistory(note: (line: string) => void): Promise<ChatHistory | undefined> {
  try {
    return await ChatHistory.open(historyPath());
  } catch (error) {
    note(`no history is kept: ${(error as Error).message}`);
    return undefined;
  }
}
