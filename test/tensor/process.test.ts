import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const child = fileURLToPath(new URL("child.mjs", import.meta.url));
const addon =
  process.env.WESTWIND_ADDON ?? fileURLToPath(new URL("../../build/Release/westwind.node", import.meta.url));

function run(mode: string) {
  const started = performance.now();
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [child, addon, mode], { encoding: "utf8" });
  return { status, signal, stdout, stderr, seconds: (performance.now() - started) / 1000 };
}

test("a process exits at once with work in flight, with its own exit code", () => {
  const { status, signal, stderr, seconds } = run("exit");
  expect({ status, signal, stderr }).toEqual({ status: 7, signal: null, stderr: "" });
  expect(seconds).toBeLessThan(5);
});

test("two worker_threads load the addon and may be stopped with work in flight", () => {
  const { status, signal, stdout, stderr } = run("workers");
  expect({ status, signal, stdout, stderr }).toEqual({ status: 0, signal: null, stdout: "number\n", stderr: "" });
});

test("promises settle when their stream is disposed of: reached while an arena is left, rejected without", () => {
  const { status, signal, stdout, stderr } = run("dispose");
  const told = "reached,ERR_DISPOSED,ERR_DISPOSED\n";
  expect({ status, signal, stdout, stderr }).toEqual({ status: 0, signal: null, stdout: told, stderr: "" });
});

test("wrong arguments are errors, never a crash", () => {
  const { status, signal, stdout, stderr } = run("fuzz");
  expect({ status, signal, stdout, stderr }).toEqual({ status: 0, signal: null, stdout: "true\n", stderr: "" });
});
