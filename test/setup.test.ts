// scripts/setup.mjs and scripts/build_native.mjs, on a project of one C++ file and one TypeScript file.
import { spawn } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const CMAKE_LISTS = `
cmake_minimum_required(VERSION 3.24)
project(westwind LANGUAGES CXX)
option(WW_WARNINGS_AS_ERRORS "" OFF)
add_library(westwind MODULE native/answer.cpp)
set_target_properties(westwind PROPERTIES PREFIX "" SUFFIX ".node" LIBRARY_OUTPUT_DIRECTORY "\${WW_OUTPUT_DIR}")
`;
const TSCONFIG = {
  compilerOptions: {
    module: "nodenext",
    target: "es2023",
    lib: ["es5"],
    skipLibCheck: true,
    types: [],
    rootDir: "lib",
    outDir: "dist",
    incremental: true,
    tsBuildInfoFile: "dist/tsconfig.tsbuildinfo",
  },
  include: ["lib"],
};
const BUILDING = "westwind: building the native addon (a minute or two the first time)\n";
const COMPILING = "westwind: compiling TypeScript\n";

let root: string;
const inRoot = (path: string) => join(root, path);

beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "westwind-setup-")));
  for (const folder of ["scripts", "native", "lib/cli", "node_modules/.bin"]) {
    mkdirSync(inRoot(folder), { recursive: true });
  }
  cpSync("scripts", inRoot("scripts"), { recursive: true });
  for (const path of ["package.json", "package-lock.json", "node_modules/.package-lock.json"]) {
    copyFileSync(path, inRoot(path));
  }
  for (const name of ["cmake-js", "node-addon-api", "node-gyp-build", "typescript"]) {
    symlinkSync(resolve("node_modules", name), inRoot(`node_modules/${name}`));
  }
  writeFileSync(inRoot("CMakeLists.txt"), CMAKE_LISTS);
  writeFileSync(inRoot("native/answer.cpp"), 'extern "C" int answer() { return 42; }\n');
  for (const name of ["tsconfig.json", "tsconfig.build.json"]) writeFileSync(inRoot(name), JSON.stringify(TSCONFIG));
  writeFileSync(
    inRoot("lib/cli/main.ts"),
    '#!/usr/bin/env node\ndeclare const console: { log(text: string): void };\nconsole.log("hello");\nexport {};\n',
  );
  writeFileSync(inRoot("lib/spare.ts"), "export const spare = 1;\n");
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

interface Ended {
  status: number | null;
  output: string;
}

function node(args: string[], env: Record<string, string> = {}): Promise<Ended> {
  const { WESTWIND_CMAKE_ARGS: _, ...inherited } = process.env;
  const child = spawn(process.execPath, args, { cwd: root, env: { ...inherited, ...env } });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data) => {
      output += data;
    });
  }
  return new Promise((done) => child.on("close", (status) => done({ status, output })));
}

const setup = (env?: Record<string, string>, ...flags: string[]) => node(["scripts/setup.mjs", ...flags], env);

/** A file that is newer than anything built so far, whatever the clock's grain. */
function write(path: string, text: string): void {
  writeFileSync(inRoot(path), text);
  const soon = Date.now() / 1000 + 0.05;
  utimesSync(inRoot(path), soon, soon);
}

describe("a checkout", () => {
  test("is built by whichever of two processes comes first, with nothing to read but what is being done", async () => {
    const ended = await Promise.all([setup(), setup()]);
    expect(ended.map(({ status }) => status)).toEqual([0, 0]);
    const all = ended.map(({ output }) => output).join("");
    expect(all.split(BUILDING)).toHaveLength(2);
    expect(all.split(COMPILING)).toHaveLength(2);
    expect(all.replace(/westwind: waiting for the build of process \d+\n/, "")).toBe(BUILDING + COMPILING);
    expect(existsSync(inRoot("build/Release/westwind.node"))).toBe(true);
    expect((await node([inRoot("node_modules/.bin/westwind")])).output).toBe("hello\n");
  });

  test("that is up to date is left alone, in silence", async () => {
    expect(await setup()).toEqual({ status: 0, output: "" });
  });

  test("rebuilds what was edited, and only that", async () => {
    write("native/answer.cpp", 'extern "C" int answer() { return 43; }\n');
    expect(await setup()).toEqual({ status: 0, output: BUILDING });
    write("lib/spare.ts", "export const spare = 2;\n");
    expect(await setup()).toEqual({ status: 0, output: COMPILING });
    expect(readFileSync(inRoot("dist/spare.js"), "utf8")).toContain("spare = 2");
    expect(await setup()).toEqual({ status: 0, output: "" });
  });

  test("loses the output of a source that was deleted", async () => {
    rmSync(inRoot("lib/spare.ts"));
    expect(await setup()).toEqual({ status: 0, output: COMPILING });
    expect(existsSync(inRoot("dist/spare.js"))).toBe(false);
  });

  test("shows what the compiler said of a mistake, again and again until it is mended", async () => {
    write("native/answer.cpp", 'extern "C" int answer() { return undeclared_name; }\n');
    const first = await setup();
    expect(first.status).toBe(1);
    expect(first.output).toMatch(/answer\.cpp:1:.*error:.*undeclared_name/);
    expect(first.output).toContain("westwind: the native addon did not build; what the tools said is above\n");
    expect(first.output).not.toMatch(/^\[/m); // ninja's and make's counting
    expect(first.output.match(/error:/g)).toHaveLength(1);
    expect((await setup()).status).toBe(1);
    write("native/answer.cpp", 'extern "C" int answer() { return 44; }\n');
    expect(await setup()).toEqual({ status: 0, output: BUILDING });
  });

  test("stops at a type error every time, though TypeScript writes its files", async () => {
    write("lib/wrong.ts", 'export const wrong: number = "one";\n');
    const first = await setup();
    expect(first.status).toBe(1);
    expect(first.output).toContain("lib/wrong.ts(1,14): error TS2322");
    expect((await setup()).status).toBe(1);
    rmSync(inRoot("lib/wrong.ts"));
    expect(await setup()).toEqual({ status: 0, output: COMPILING });
  });

  test("takes CMake options from WESTWIND_CMAKE_ARGS and keeps them", async () => {
    const value = () =>
      /^WW_WARNINGS_AS_ERRORS:\w+=(.*)$/m.exec(readFileSync(inRoot("build/cmake/CMakeCache.txt"), "utf8"))?.[1];
    const strict = { WESTWIND_CMAKE_ARGS: "-DWW_WARNINGS_AS_ERRORS=ON" };
    expect(value()).toBe("OFF");
    expect(await setup(strict)).toEqual({ status: 0, output: BUILDING });
    expect(value()).toBe("ON");
    expect(await setup(strict)).toEqual({ status: 0, output: "" });
    expect(await setup()).toEqual({ status: 0, output: "" });
    expect(await setup({}, "--force")).toEqual({ status: 0, output: BUILDING + COMPILING });
    expect(value()).toBe("ON");
    const wrong = await setup({ WESTWIND_CMAKE_ARGS: "WW_WARNINGS_AS_ERRORS" });
    expect(wrong.status).toBe(1);
    expect(wrong.output).toContain("WESTWIND_CMAKE_ARGS: WW_WARNINGS_AS_ERRORS: expected -DNAME=VALUE\n");
    expect(await setup({ WESTWIND_CMAKE_ARGS: "" })).toEqual({ status: 0, output: BUILDING });
    expect(value()).toBe("OFF");
  });
});

describe("a missing tool is one line with the cure", () => {
  /** A PATH that holds node and stand-ins which only print a version. */
  function pathWith(tools: Record<string, string>): string {
    const bin = mkdtempSync(join(root, "bin-"));
    symlinkSync(process.execPath, join(bin, "node"));
    for (const [name, version] of Object.entries(tools)) {
      writeFileSync(join(bin, name), `#!/bin/sh\necho "${version}"\n`);
      chmodSync(join(bin, name), 0o755);
    }
    return bin;
  }
  const cmake = "cmake version 3.25.1";
  const cases: [string, Record<string, string>, RegExp][] = [
    ["cmake", {}, /^westwind: cmake was not found: install CMake 3\.24 or later .*\n$/],
    [
      "a recent cmake",
      { cmake: "cmake version 3.18.4" },
      /^westwind: cmake is 3\.18: install CMake 3\.24 or later .*\n$/,
    ],
    ["ninja and make", { cmake }, /^westwind: neither ninja nor make was found: install one .*\n$/],
    [
      "a compiler",
      { cmake, make: "GNU Make" },
      /^westwind: the C\+\+ compiler c\+\+ was not found: install g\+\+ .*\n$/,
    ],
  ];

  test.each(cases)("%s", async (_, tools, line) => {
    const env = { PATH: pathWith(tools), CXX: "" };
    for (const args of [["scripts/setup.mjs", "--force"], ["scripts/build_native.mjs"]]) {
      const { status, output } = await node(args, env);
      expect(output).toMatch(line);
      expect(status).toBe(1);
    }
  });

  test("npm", async () => {
    const list = inRoot("node_modules/.package-lock.json");
    rmSync(list);
    const { status, output } = await setup({ PATH: dirname(join(pathWith({}), "node")) });
    copyFileSync("node_modules/.package-lock.json", list);
    expect(output).toBe(
      "westwind: installing dependencies\nwestwind: npm was not found: install Node 20 or later with npm\n",
    );
    expect(status).toBe(1);
  });
});
