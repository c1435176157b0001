import { type AnswerOptions, ConfigError, type Conversation, loadConversation, saveConversation } from "../index.js";
import { readNumber, SETTINGS, type Settings } from "./settings.js";

/** What a command may use and change. */
export interface ChatState {
  readonly conversation: Conversation;
  readonly settings: Settings;
  /** The model and what it computes on, for /info. */
  readonly facts: readonly (readonly [string, string])[];
  note(line: string): void;
  /** Shows an answer while it comes. */
  show(ask: (options: AnswerOptions) => AsyncIterable<string>): Promise<void>;
  leave(): void;
}

interface ChatCommand {
  readonly usage: string;
  readonly about: string;
  run(state: ChatState, argument: string): void | Promise<void>;
}

const COMMANDS: Readonly<Record<string, ChatCommand>> = {
  help: { usage: "/help", about: "these lines", run: ({ note }) => note(HELP) },
  system: {
    usage: "/system TEXT",
    about: "what the system says before everything else; without TEXT, nothing",
    run({ conversation, note }, text) {
      conversation.system = text === "" ? undefined : text;
      note(text === "" ? "the system says nothing" : `the system says: ${text}`);
    },
  },
  reset: {
    usage: "/reset",
    about: "forget what was said, but for the system message",
    run({ conversation, note }) {
      conversation.reset();
      note("forgotten");
    },
  },
  undo: {
    usage: "/undo",
    about: "take the last message and its answer back",
    run: ({ conversation, note }) => note(`taken back: ${conversation.undo()}`),
  },
  retry: {
    usage: "/retry",
    about: "answer the last message again",
    run: ({ show, conversation }) => show((options) => conversation.retry(options)),
  },
  save: {
    usage: "/save FILE",
    about: "add the chat to a .jsonl file, as a row that westwind sft reads",
    async run({ conversation, note }, path) {
      await saveConversation(needed("/save", path), conversation.messages);
      note(`${count(conversation.messages.length, "message")} in ${path}`);
    },
  },
  load: {
    usage: "/load FILE",
    about: "go on with the last chat of a file",
    async run({ conversation, note }, path) {
      conversation.messages = await loadConversation(needed("/load", path));
      note(`${count(conversation.messages.length, "message")} from ${path}`);
    },
  },
  set: {
    usage: "/set NAME VALUE",
    about: "change how answers are drawn; without VALUE back to the default, without NAME tell",
    run({ settings, note }, argument) {
      const [name = "", ...values] = argument.split(/\s+/);
      if (name !== "") change(settings, name, values.join(" "));
      note(describe(settings));
    },
  },
  info: {
    usage: "/info",
    about: "the model, the settings and how full the context is",
    run({ conversation, settings, facts, note }) {
      const { messages, numTokens, maxTokens, droppedTurns, system } = conversation;
      const dropped = droppedTurns > 0 ? `, the oldest ${count(droppedTurns, "turn")} dropped` : "";
      const lines = [
        ...facts.map(([name, value]) => `${name}: ${value}`),
        `context: ${numTokens} of ${maxTokens} tokens, ${count(messages.length, "message")}${dropped}`,
        `system: ${system ?? "nothing"}`,
        describe(settings),
      ];
      note(lines.join("\n"));
    },
  },
  exit: {
    usage: "/exit",
    about: "leave; so do Ctrl-D, and Ctrl-C twice",
    run: ({ leave }) => leave(),
  },
};

const HELP = [
  ...Object.values(COMMANDS).map(({ usage, about }) => `${usage.padEnd(16)} ${about}`),
  `names to set: ${SETTINGS.map(({ name }) => name).join(", ")}`,
  'A line that ends with \\ goes on in the next; """ begins and ends a block of lines. Ctrl-C stops an answer.',
  "A line that begins with a blank is no command.",
].join("\n");

/** Carries out a line that begins with a slash. Throws ConfigError for a command that there is not. */
export async function runCommand(line: string, state: ChatState): Promise<void> {
  const [, name, argument] = /^\/(\S*)\s*([\s\S]*)$/.exec(line)!;
  const command = Object.hasOwn(COMMANDS, name!) ? COMMANDS[name!]! : undefined;
  if (command === undefined) {
    const known = Object.keys(COMMANDS).map((name) => `/${name}`);
    throw new ConfigError(`/${name}`, `unknown, expected one of ${known.join(", ")}`);
  }
  await command.run(state, argument!.trim());
}

export const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? "" : "s"}`;

function needed(command: string, path: string): string {
  if (path === "") throw new ConfigError(command, "no file, expected its name");
  return path;
}

function change(settings: Settings, name: string, text: string): void {
  const setting = SETTINGS.find((one) => one.name === name);
  if (setting === undefined) {
    const known = SETTINGS.map((one) => one.name).join(", ");
    throw new ConfigError("/set", `${name} is unknown, expected one of ${known}`);
  }
  if (text === "") delete settings[setting.key];
  else settings[setting.key] = readNumber(text, setting, (fact) => new ConfigError(name, fact));
}

const describe = (settings: Settings): string =>
  SETTINGS.map(({ key, name }) => `${name}: ${settings[key] ?? "default"}`).join(", ");
