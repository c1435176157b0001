import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

// Lines a file must not exceed. One that does holds a second thing; an exception is a line here with its reason.
const LIMITS: [folder: string, pattern: RegExp, lines: number][] = [
  ["lib", /\.ts$/, 500],
  ["test", /\.ts$/, 500],
  ["bench", /\.ts$/, 500],
  ["native", /\.cpp$/, 500],
  ["native", /\.cu$/, 600],
  ["native/kernels", /\.h$/, 200],
];
const EXCEPTIONS = new Set(["lib/kernels/args.generated.ts"]); // generated: as long as there are kernels

function filesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesIn(path) : [path];
  });
}

test.each(LIMITS)("%s: files like %s stay under %i lines", (folder, pattern, limit) => {
  const long = filesIn(folder)
    .filter((path) => pattern.test(path) && !EXCEPTIONS.has(path))
    .map((path) => ({ path, lines: readFileSync(path, "utf8").split("\n").length - 1 }))
    .filter(({ lines }) => lines > limit);
  expect(long).toEqual([]);
});
