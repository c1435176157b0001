import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import ts from "typescript";

export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts the command line of dist/, which is brought up to date first; `launcher` is a command that starts another. */
export function westwind(
  args: readonly string[],
  launcher: readonly string[] = [],
): { process: ChildProcess; outcome: Promise<Outcome> } {
  refresh();
  const [program, ...rest] = [...launcher, process.execPath, "dist/cli/main.js", ...args];
  const child = spawn(program!, rest, { stdio: ["ignore", "pipe", "pipe"] });
  const text = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) child[name].on("data", (data) => (text[name] += data));
  const outcome = new Promise<Outcome>((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal, ...text }));
  });
  return { process: child, outcome };
}

export const run = (...args: string[]): Promise<Outcome> => westwind(args).outcome;

let isFresh = false;

/** Compiles what of lib/ is newer than dist/: `npm test` leaves nothing to do, a bare vitest might. */
export function refresh(): void {
  if (isFresh) return;
  for (const name of readdirSync("lib", { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".ts")) continue;
    const source = join("lib", name);
    const target = join("dist", name.replace(/\.ts$/, ".js"));
    if ((statSync(target, { throwIfNoEntry: false })?.mtimeMs ?? 0) > statSync(source).mtimeMs) continue;
    const { outputText } = ts.transpileModule(readFileSync(source, "utf8"), {
      compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true },
    });
    mkdirSync(dirname(target), { recursive: true });
    const partial = `${target}.${process.pid}`; // another test file may do the same
    writeFileSync(partial, outputText);
    renameSync(partial, target);
    for (const name of ["dist/.built", "dist/tsconfig.tsbuildinfo"]) rmSync(name, { force: true }); // the next build is whole
  }
  isFresh = true;
}
