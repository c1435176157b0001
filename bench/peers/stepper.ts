import { type ChildProcess, spawn } from "node:child_process";
import { createInterface, type Interface } from "node:readline";

/** What a process that takes one step for every line answers. */
export interface Step {
  readonly seconds: number;
  readonly loss: number;
  readonly tokens: number;
}

/** What it says when its input has ended. */
export interface End {
  readonly peak_bytes: number;
}

/** A child that answers every line of its input with a line of JSON, so that two of them can take turns. */
export class Stepper {
  private readonly child: ChildProcess;
  private readonly lines: AsyncIterator<string>;
  private readonly reader: Interface;
  private errors = "";

  /** Starts the program; its first line says that it is ready. */
  constructor(
    private readonly name: string,
    program: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ) {
    this.child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "pipe"] });
    this.child.stderr!.on("data", (text) => {
      this.errors = (this.errors + text).slice(-4000);
    });
    this.reader = createInterface({ input: this.child.stdout! });
    this.lines = this.reader[Symbol.asyncIterator]();
  }

  async ready<T>(): Promise<T> {
    const { value, done } = await this.lines.next();
    if (done) throw new Error(`${this.name} ended:\n${this.errors}`);
    return JSON.parse(value) as T;
  }

  async ask<T>(line = ""): Promise<T> {
    this.child.stdin!.write(`${line}\n`);
    return this.ready<T>();
  }

  async end<T>(): Promise<T> {
    this.child.stdin!.end();
    const last = await this.ready<T>();
    this.stop();
    return last;
  }

  stop(): void {
    this.reader.close();
    this.child.kill();
  }
}
