import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, test } from "vitest";

// A folder may import itself, the folders named here, and nothing else. Read top to bottom: a name only ever refers to
// a line above it, so there can be no cycle between folders.
const MAY_IMPORT: Record<string, string> = {
  "lib/base": "",
  "lib/native": "lib/base",
  "lib/tensor": "lib/base lib/native",
  "lib/kernels": "lib/base lib/native lib/tensor",
  "lib/text": "lib/base",
  "lib/data": "lib/base lib/text",
  "lib/hub": "lib/base lib/data",
  "lib/model": "lib/base lib/tensor lib/kernels",
  "lib/optim": "lib/base lib/tensor lib/kernels lib/model",
  "lib/checkpoint": "lib/base lib/native lib/tensor lib/kernels lib/model lib/optim",
  "lib/train": "lib/base lib/tensor lib/kernels lib/data lib/model lib/optim lib/checkpoint",
  "lib/generate": "lib/base lib/tensor lib/kernels lib/text lib/model",
  "lib/serve": "lib/base lib/text lib/generate",
  "lib/feedback": "lib/base lib/text lib/data lib/generate",
  "lib/curate": "lib/base lib/text lib/data",
  "lib/recipe": "lib/base lib/text lib/data",
  "lib/report": "lib/base",
  "lib/run":
    "lib/base lib/hub lib/tensor lib/text lib/data lib/model lib/optim lib/checkpoint lib/train lib/generate lib/feedback lib/curate lib/recipe lib/report",
  "lib/quickstart":
    "lib/base lib/tensor lib/text lib/data lib/model lib/checkpoint lib/train lib/generate lib/feedback lib/recipe lib/report lib/run",
  "lib/index.ts":
    "lib/base lib/hub lib/native lib/tensor lib/kernels lib/text lib/data lib/model lib/optim lib/checkpoint lib/train lib/generate lib/feedback lib/curate lib/recipe lib/report lib/run lib/quickstart lib/serve",
  "lib/cli": "lib/base lib/index.ts",
  "native/core": "",
  "native/kernels": "native/core",
  "native/cpu": "native/core native/kernels",
  "native/cuda": "native/core native/kernels",
  "native/addon": "native/core native/kernels",
};

const folderOf = (path: string): string => path.split("/").slice(0, 2).join("/");

function filesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return filesIn(path);
    return /\.(ts|h|cuh|cpp|cu|def)$/.test(path) ? [path] : [];
  });
}

function importsOf(path: string): string[] {
  const source = readFileSync(path, "utf8");
  if (path.startsWith("native/")) return [...source.matchAll(/#include "(native\/[^"]+)"/g)].map((match) => match[1]!);
  return [...source.matchAll(/(?:from|import) "(\.[^"]+)\.js"/g)].map(
    (match) => `${normalize(join(dirname(path), match[1]!))}.ts`,
  );
}

const files = [...filesIn("lib"), ...filesIn("native")];

test("every folder is in the table", () => {
  expect(files.filter((path) => MAY_IMPORT[folderOf(path)] === undefined)).toEqual([]);
});

test("the table names only what lies above", () => {
  const seen: string[] = [];
  for (const [folder, allowed] of Object.entries(MAY_IMPORT)) {
    expect(allowed.split(" ").filter((name) => name !== "" && !seen.includes(name))).toEqual([]);
    seen.push(folder);
  }
});

describe("a folder imports only what it may", () => {
  test.each(Object.entries(MAY_IMPORT))("%s", (folder, allowed) => {
    const wrong = files
      .filter((path) => folderOf(path) === folder)
      .flatMap((path) => importsOf(path).map((target) => ({ path, target, to: folderOf(target) })))
      .filter(({ to }) => to !== folder && !allowed.split(" ").includes(to))
      .map(({ path, target }) => `${path} imports ${target}`);
    expect(wrong).toEqual([]);
  });
});

test("no file imports itself by way of others", () => {
  const graph = new Map(files.filter((path) => path.startsWith("lib/")).map((path) => [path, importsOf(path)]));
  const done = new Set<string>();
  const walk = (path: string, trail: readonly string[]): string[] => {
    if (trail.includes(path)) return [[...trail.slice(trail.indexOf(path)), path].join(" > ")];
    if (done.has(path)) return [];
    const cycles = (graph.get(path) ?? []).flatMap((next) => walk(next, [...trail, path]));
    done.add(path);
    return cycles;
  };
  expect([...graph.keys()].flatMap((path) => walk(path, []))).toEqual([]);
});
