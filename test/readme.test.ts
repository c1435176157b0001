import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import ts from "typescript";
import { expect, test } from "vitest";

const readme = readFileSync("README.md", "utf8");

test("the file map names every folder, and none that is not there", () => {
  const named = [...readme.matchAll(/^ {4}((?:lib|native)\/\w+|recipes|test|bench|docs) {2,}\S/gm)].map(
    (match) => match[1]!,
  );
  const folders = ["lib", "native"].flatMap((tree) =>
    readdirSync(tree, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => `${tree}/${entry.name}`),
  );
  expect(named.filter((path) => !existsSync(path))).toEqual([]);
  expect(folders.filter((path) => !named.includes(path))).toEqual([]);
});

test("its links lead somewhere", () => {
  const links = [...readme.matchAll(/\]\(([^)#]+)\)/g)]
    .map((match) => match[1]!)
    .filter((link) => !link.includes("://"));
  expect(links.length).toBeGreaterThan(3);
  expect(links.filter((link) => !existsSync(link))).toEqual([]);
});

test("its program is one that the compiler accepts", () => {
  const program = /```ts\n([\s\S]*?)```/.exec(readme)![1]!;
  mkdirSync("build/readme", { recursive: true });
  writeFileSync("build/readme/program.ts", program.replace('"westwind"', '"../../lib/index.js"'));
  const { config } = ts.readConfigFile("tsconfig.json", ts.sys.readFile);
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, ".");
  const diagnostics = ts.getPreEmitDiagnostics(ts.createProgram(["build/readme/program.ts"], options));
  expect(diagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, " "))).toEqual([]);
});
