import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { setTimeout as wait } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { type ChatFlags, runChat } from "../../lib/cli/chat.js";
import { FakeEngine, fakeModel } from "../generate/fake_engine.js";
import { refusal, temporaryFolder } from "../run/collect.js";

const [CTRL_C, CTRL_D, UP] = ["\x03", "\x04", "\x1b[A"];
const folder = temporaryFolder();
const saved = { state: process.env.XDG_STATE_HOME, colour: process.env.NO_COLOR };
let numStates = 0;

beforeEach(() => {
  process.env.XDG_STATE_HOME = join(folder, `state-${numStates++}`);
  process.env.NO_COLOR = "1";
});

afterEach(() => {
  for (const [name, value] of [
    ["XDG_STATE_HOME", saved.state],
    ["NO_COLOR", saved.colour],
  ] as const) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});

const historyFile = (): string => join(process.env.XDG_STATE_HOME!, "westwind", "chat_history");

/** A chat with a fake model over fake streams. */
class Fixture {
  readonly engine = new FakeEngine();
  readonly model = fakeModel(this.engine);
  readonly stdin: PassThrough & { isTTY: boolean };
  readonly stdout = new PassThrough();
  readonly stderr: PassThrough & { isTTY: boolean; columns: number };
  answers = "";
  private notes = "";

  constructor(isTyped: boolean) {
    this.stdin = Object.assign(new PassThrough(), { isTTY: isTyped });
    this.stderr = Object.assign(new PassThrough(), { isTTY: isTyped, columns: 100 });
    this.stdout.on("data", (data) => {
      this.answers += data;
    });
    this.stderr.on("data", (data) => {
      this.notes += data;
    });
  }

  start(flags: Partial<ChatFlags> = {}): Promise<void> {
    const standard = { model: "a-model", device: "auto", history: true, maxNewTokens: 50, temperature: 0.7 };
    return runChat({ ...standard, ...flags }, async () => this.model, this);
  }

  type(keys: string): void {
    this.stdin.write(keys);
  }

  /** Types a line and waits for what comes of it on the screen. */
  async enter(line: string, expected: string): Promise<void> {
    const from = this.notes.length;
    this.type(`${line}\r`);
    await this.until(() => stripVTControlCharacters(this.notes.slice(from)).includes(expected));
  }

  /** Everything on stderr, with the keys of terminals left out or not. */
  get screen(): string {
    return stripVTControlCharacters(this.notes);
  }

  get raw(): string {
    return this.notes;
  }

  async until(condition: () => boolean): Promise<void> {
    for (let waited = 0; !condition(); waited++) {
      if (waited > 2000) throw new Error(`never came; answers ${JSON.stringify(this.answers)}, screen ${this.screen}`);
      await wait(2);
    }
  }
}

describe("through pipes", () => {
  test("only answers are printed, a message a line, until the input ends", async () => {
    const chat = new Fixture(false);
    const ended = chat.start({ system: "be brief" });
    chat.stdin.end('Hi\nthis\\\nis one\n\n"""\na\nb\n"""\n not /a command\nlast');
    await ended;
    expect(chat.answers).toBe("echo Hi\necho this\nis one\necho a\nb\necho  not /a command\necho last\n");
    expect(chat.screen).toBe("");
    expect(chat.engine.prompts[1]).toBe("[system]be brief[user]Hi[assistant]echo Hi[user]this\nis one[assistant]");
    expect(chat.engine.requests[0]).toMatchObject({ temperature: 0.7, maxNewTokens: 50 });
    expect([existsSync(historyFile()), chat.model.isDisposed]).toEqual([false, true]);
  });

  test("what was begun is said when the input ends", async () => {
    const chat = new Fixture(false);
    const ended = chat.start();
    chat.stdin.end('"""\na\nb');
    await ended;
    expect(chat.answers).toBe("echo a\nb\n");
  });

  test("commands work, and tell on stderr", async () => {
    const chat = new Fixture(false);
    const ended = chat.start();
    chat.stdin.end("Hi\n/undo\n/set seed 7\nHo\n/exit\nnever\n");
    await ended;
    expect(chat.answers).toBe("echo Hi\necho Ho\n");
    expect(chat.screen).toMatch(/^taken back: Hi\n.*seed: 7.*\n$/);
    expect(chat.engine.requests[1]).toMatchObject({ seed: 7 });
  });

  test.each([
    ["/frob 1", "ConfigError: /frob: unknown, expected one of /help, /system, /reset, "],
    ["refuse", "TemplateError: chat template: not this"],
  ])("what %j is refused for ends it", async (line, error) => {
    const chat = new Fixture(false);
    const refused = refusal(chat.start());
    chat.stdin.end(`Hi\n${line}\nnever\n`);
    expect(await refused).toMatch(error);
    expect([chat.answers, chat.model.isDisposed]).toEqual(["echo Hi\n", true]);
  });

  test("a context that was full is said", async () => {
    const chat = new Fixture(false);
    chat.engine.maxTokens = 120;
    const ended = chat.start();
    chat.stdin.end(`${"a".repeat(30)}\n${"b".repeat(30)}\n`);
    await ended;
    expect(chat.screen).toBe("the context was full: the oldest 1 turn dropped\n");
  });

  test("Ctrl-C stops the answer and ends it", async () => {
    const chat = new Fixture(false);
    chat.engine.reply = () => ["a", ...Array(1000).fill("b")];
    const refused = refusal(chat.start({ maxNewTokens: 900 }));
    chat.stdin.write("Hi\nnever\n");
    await chat.until(() => chat.answers.length > 2);
    process.emit("SIGINT");
    expect(await refused).toBe("AbortedError: stopped");
    expect(chat.answers).toMatch(/^ab+\n$/);
    expect([chat.engine.requests.length, chat.engine.numRunning, process.listenerCount("SIGINT")]).toEqual([1, 0, 0]);
  });

  test("it ends where nobody takes the answers any more", async () => {
    const chat = new Fixture(false);
    chat.engine.reply = () => Array(1000).fill("b");
    const refused = refusal(chat.start({ maxNewTokens: 900 }));
    chat.stdin.write("Hi\nnever\n");
    await chat.until(() => chat.answers.length > 2);
    chat.stdout.destroy(new Error("write EPIPE"));
    expect(await refused).toBe("AbortedError: stopped");
    expect([chat.screen, chat.engine.requests.length]).toEqual(["stdout: write EPIPE\n", 1]);
  });

  test("a long input waits in its pipe while an answer comes", async () => {
    const chat = new Fixture(false);
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    chat.engine.pace = () => gate;
    const ended = chat.start();
    chat.stdin.write("Hi\n");
    await chat.until(() => chat.engine.requests.length === 1);
    for (let i = 0; i < 3; i++) chat.stdin.write(`${"x".repeat(20)}\n`);
    await wait(20);
    expect(chat.stdin.readableLength).toBeGreaterThan(0);
    open();
    chat.stdin.end();
    await ended;
    expect(chat.answers.split("\n").length).toBe(5);
  });
});

describe("at a terminal", () => {
  test("the prompt, the answer, and what it took", async () => {
    const chat = new Fixture(true);
    const ended = chat.start();
    await chat.enter("Hi", "tokens/s");
    await chat.until(() => chat.screen.endsWith("> "));
    expect(chat.answers).toBe("echo Hi\n");
    expect(chat.screen).toMatch(
      /^a-model on a fake; \/help lists the commands\n> Hi\r\n7 tokens, [\d.,]+ tokens\/s\n> $/,
    );
    expect(chat.raw).not.toContain("\x1b[2m");
    await chat.enter("go on\\", ". ");
    await chat.enter("here", "tokens/s");
    expect(chat.answers).toBe("echo Hi\necho go on\nhere\n");
    chat.type(CTRL_D);
    await ended;
    expect([chat.screen.endsWith("> \n"), chat.model.isDisposed]).toEqual([true, true]);
  });

  test("colours, unless NO_COLOR is set to something", async () => {
    process.env.NO_COLOR = "";
    const chat = new Fixture(true);
    const ended = chat.start();
    await chat.enter("Hi", "tokens/s");
    expect(chat.raw).toContain("\x1b[2m7 tokens, ");
    expect(chat.raw).toContain(" tokens/s\x1b[22m\n");
    expect(chat.answers).toBe("echo Hi\n");
    await chat.enter("/frob", "unknown");
    expect(chat.raw).toContain("\x1b[31m/frob: unknown");
    chat.type(CTRL_D);
    await ended;
  });

  test("says why an answer was cut", async () => {
    const chat = new Fixture(true);
    const ended = chat.start({ maxNewTokens: 3 });
    await chat.enter("Hi", "3 tokens, ");
    await chat.until(() => chat.screen.includes("tokens/s, cut at max_new_tokens, 3\n"));
    chat.engine.maxTokens = 80;
    await chat.enter("/set max_new_tokens", "max_new_tokens: default");
    await chat.enter("a".repeat(50), "cut: the context of 80 is full");
    chat.type(CTRL_D);
    await ended;
  });

  test("Ctrl-C stops an answer and keeps what was said; the next leaves", async () => {
    const chat = new Fixture(true);
    chat.engine.reply = () => ["a", ...Array(1000).fill("b")];
    const ended = chat.start({ maxNewTokens: 900 });
    chat.type("Hi\r");
    await chat.until(() => chat.answers.length > 2);
    chat.type(CTRL_C);
    await chat.until(() => /tokens\/s, stopped\n> $/.test(chat.screen));
    expect(chat.engine.numRunning).toBe(0);
    const [stopped] = chat.answers.split("\n");
    chat.engine.reply = () => ["c"];
    await chat.enter("And?", "1 token, ");
    expect(chat.engine.prompts.at(-1)).toBe(`[user]Hi[assistant]${stopped}[user]And?[assistant]`);
    chat.engine.reply = () => Array(1000).fill("b");
    chat.type("more\r");
    await chat.until(() => /\nb+$/.test(chat.answers));
    chat.type(CTRL_C);
    await chat.until(() => /tokens\/s, stopped\n> $/.test(chat.screen));
    chat.type(CTRL_C);
    await ended;
    expect(process.listenerCount("SIGINT")).toBe(0);
  });

  test("Ctrl-C drops what was typed, and a block of lines, before it leaves", async () => {
    const chat = new Fixture(true);
    const ended = chat.start();
    await chat.until(() => chat.screen.endsWith("> "));
    chat.type("wrong");
    await chat.until(() => chat.screen.endsWith("wrong"));
    chat.type(CTRL_C);
    await chat.enter("right", "tokens/s");
    await chat.enter('"""', ". ");
    await chat.enter("lost", ". ");
    chat.type(CTRL_C);
    await chat.enter("kept", "tokens/s");
    expect(chat.answers).toBe("echo right\necho kept\n");
    await chat.until(() => chat.screen.endsWith("> "));
    chat.type(`x${CTRL_C}${CTRL_C}`);
    await ended;
  });

  test("one Ctrl-C that comes too late for an answer does not leave", async () => {
    const chat = new Fixture(true);
    const ended = chat.start();
    for (const line of ["Hi", "Ho"]) {
      await chat.enter(line, "tokens/s");
      await chat.until(() => chat.screen.endsWith("> "));
      chat.type(CTRL_C);
      await chat.until(() => chat.screen.endsWith("> \nonce more, or Ctrl-D, to leave\n> "));
    }
    chat.type(CTRL_C);
    await ended;
    expect(chat.answers).toBe("echo Hi\necho Ho\n");
  });

  test("what is typed while an answer comes is said after it", async () => {
    const chat = new Fixture(true);
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    chat.engine.pace = () => gate;
    const ended = chat.start();
    chat.type("one\r");
    await chat.until(() => chat.engine.requests.length === 1);
    chat.type("two\rthr");
    await wait(10);
    expect(chat.screen).not.toContain("two");
    open();
    await chat.until(() => /> two\n.*\n> thr$/.test(chat.screen));
    await chat.enter("ee", "tokens/s");
    expect(chat.answers).toBe("echo one\necho two\necho three\n");
    chat.type(CTRL_D);
    await ended;
  });

  test("an error is told, and the chat goes on", async () => {
    const chat = new Fixture(true);
    const ended = chat.start();
    await chat.enter("refuse", "chat template: not this");
    await chat.enter("Hi", "tokens/s");
    expect(chat.answers).toBe("echo Hi\n");
    chat.type(CTRL_D);
    await ended;
  });

  test("lines come back with the arrow keys, in the next chat too, but with --no-history", async () => {
    const converse = async (history: boolean, ...lines: string[]): Promise<string> => {
      const chat = new Fixture(true);
      const ended = chat.start({ history });
      for (const line of lines) {
        await chat.until(() => chat.screen.endsWith("> "));
        await chat.enter(line, "tokens/s");
      }
      chat.type(CTRL_D);
      await ended;
      return chat.answers;
    };
    expect(await converse(true, "one", UP, "two")).toBe("echo one\necho one\necho two\n");
    expect(await converse(false, `${UP}three`, UP)).toBe("echo three\necho three\n");
    expect(await converse(true, UP, `${UP}${UP}`)).toBe("echo two\necho one\n");
    expect(readFileSync(historyFile(), "utf8")).toMatch(/^one\n(one\n)?two\n/);
  });

  test("a history that cannot be kept is said, and no more", async () => {
    writeFileSync(join(folder, "no-folder"), "");
    process.env.XDG_STATE_HOME = join(folder, "no-folder");
    const chat = new Fixture(true);
    const ended = chat.start();
    await chat.enter("Hi", "tokens/s");
    expect(chat.screen).toMatch(/^no history is kept: .*no-folder.* cannot be made/);
    chat.type(CTRL_D);
    await ended;
  });
});

describe("the command", () => {
  async function converse(...lines: string[]): Promise<Fixture> {
    const chat = new Fixture(false);
    const ended = chat.start();
    chat.stdin.end(lines.map((line) => `${line}\n`).join(""));
    await ended;
    return chat;
  }

  test("/help lists every command and name", async () => {
    const { screen } = await converse("/help");
    for (const name of ["help", "system", "reset", "undo", "retry", "save", "load", "set", "info", "exit"]) {
      expect(screen).toMatch(new RegExp(`^/${name}\\b.* {2,}\\S`, "m"));
    }
    expect(screen).toMatch(
      /^names to set: max_new_tokens, temperature, top_p, top_k, min_p, repetition_penalty, .*, seed$/m,
    );
  });

  test("/system says something before everything, or nothing again", async () => {
    const { engine, screen } = await converse("/system be brief", "Hi", "/system", "Ho");
    expect(engine.prompts).toEqual([
      "[system]be brief[user]Hi[assistant]",
      "[user]Hi[assistant]echo Hi[user]Ho[assistant]",
    ]);
    expect(screen).toBe("the system says: be brief\nthe system says nothing\n");
  });

  test("/reset, /undo and /retry", async () => {
    const { engine, answers } = await converse("/system s", "one", "/retry", "two", "/undo", "three", "/reset", "four");
    expect(answers).toBe("echo one\necho one\necho two\necho three\necho four\n");
    expect(engine.prompts.slice(3)).toEqual([
      "[system]s[user]one[assistant]echo one[user]three[assistant]",
      "[system]s[user]four[assistant]",
    ]);
  });

  test("/set changes, takes back and tells", async () => {
    const { engine, screen } = await converse(
      ...["/set top_k 5", "/set repetition_penalty 1.1", "a", "/set temperature", "/set top_k 0", "b", "/set"],
    );
    expect(engine.requests[0]).toMatchObject({ topK: 5, repetitionPenalty: 1.1, temperature: 0.7 });
    expect(engine.requests[1]).toMatchObject({ topK: 0, repetitionPenalty: 1.1, maxNewTokens: 50 });
    expect(engine.requests[1]!.temperature).toBeUndefined();
    expect(screen.trim().split("\n").at(-1)).toMatch(
      /^max_new_tokens: 50, temperature: default, top_p: default, top_k: 0, .*, seed: default$/,
    );
  });

  test.each([
    ["/set frob 1", "/set: frob is unknown, expected one of max_new_tokens, temperature, "],
    ["/set top_p 3", "top_p: 3, expected a number above 0 and at most 1"],
    ["/set seed x", "seed: x, expected a whole number"],
    ["/set min_p 0.1 0.2", "min_p: 0.1 0.2, expected a number from 0 to 1"],
    ["/undo", "messages: nothing was said yet, expected a message to take back"],
    ["/retry", "messages: nothing was said yet, expected a message to answer again"],
    ["/save", "/save: no file, expected its name"],
    ["/load", "/load: no file, expected its name"],
    ["/load none.jsonl", "none.jsonl: is missing"],
    ["/save chat.txt", "chat.txt: expected the name of a .jsonl file"],
    ["/", "/: unknown, expected one of /help"],
    ["/toString", "/toString: unknown, expected one of /help"],
  ])("%j is refused", async (line, message) => {
    expect(await refusal(converse(line))).toContain(`Error: ${message}`);
  });

  test("/save adds a row that /load goes on with", async () => {
    const path = join(folder, "new folder", "chats.jsonl");
    const first = await converse("/system s", "one", `/save ${path}`);
    expect(first.screen).toContain(`3 messages in ${path}\n`);
    await converse("two", `/save ${path}`);
    const rows = readFileSync(path, "utf8").trim().split("\n");
    expect(rows.map((row) => JSON.parse(row))).toEqual([
      {
        messages: [
          { role: "system", content: "s" },
          { role: "user", content: "one" },
          { role: "assistant", content: "echo one" },
        ],
      },
      {
        messages: [
          { role: "user", content: "two" },
          { role: "assistant", content: "echo two" },
        ],
      },
    ]);
    const { engine, screen } = await converse("/system gone", `/load ${path}`, "three");
    expect(screen).toContain(`2 messages from ${path}\n`);
    expect(engine.prompts).toEqual(["[user]two[assistant]echo two[user]three[assistant]"]);
    writeFileSync(path, '{"messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]}'); // no end of line
    expect(await refusal(converse(`/load ${path}`))).toBe(
      `DataError: ${path}:1: messages[1].role: system, expected it to be the first message`,
    );
    await converse("four", `/save ${path}`);
    expect(readFileSync(path, "utf8").split("\n").length).toBe(3);
  });

  test("/info tells of the model and how full the context is", async () => {
    const { screen } = await converse("Hi", "/info");
    expect(screen).toMatch(
      /^model: a-model\ndevice: a fake\ncontext: 26 of 1000 tokens, 2 messages\nsystem: nothing\nmax_new_tokens: 50, /,
    );
  });
});
