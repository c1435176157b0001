// What westwind asks of whoever installs it, and what it hands them.
import { spawnSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const ALLOWED = [
  "@hono/node-server", // hono on Node's HTTP server
  "@huggingface/hub", // models and data sets by their name on the hub
  "@huggingface/jinja", // chat templates
  "@huggingface/tokenizers", // tokenizer.json
  "cmake-js", // where Node's headers lie, when the addon is built from source
  "commander", // the command line
  "csv-parse", // rows of .csv files
  "fzstd", // .zst files
  "hono", // the server's routes
  "hyparquet", // rows of .parquet files
  "hyparquet-compressors", // the compressions that they may have
  "hyparquet-writer", // writes them
  "node-addon-api", // the addon's C++ headers
  "node-gyp-build", // finds the addon
  "picocolors", // colours on a terminal
  "prom-client", // the server's metrics
  "xxhash-wasm", // checksums of .zst files
  "yaml", // recipes
  "zod", // recipes and requests, checked
];

interface Locked {
  version?: string;
  resolved?: string;
  dev?: boolean;
  hasInstallScript?: boolean;
  optional?: boolean;
}

const readJson = (path: string) => JSON.parse(readFileSync(path, "utf8"));
const manifest = readJson("package.json");
const lockText = readFileSync("package-lock.json", "utf8");
const { "": top, ...locked }: Record<string, Locked> = JSON.parse(lockText).packages;

describe("dependencies", () => {
  test("at run time are the allowed ones", () => {
    expect(Object.keys(manifest.dependencies)).toEqual(ALLOWED);
    expect(manifest.optionalDependencies ?? manifest.peerDependencies).toBeUndefined();
  });

  test("have exact versions, which the lock file repeats", () => {
    const wanted = { ...manifest.dependencies, ...manifest.devDependencies } as Record<string, string>;
    expect(Object.values(wanted).filter((version) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
    expect(
      Object.entries(wanted).filter(([name, version]) => locked[`node_modules/${name}`]?.version !== version),
    ).toEqual([]);
    expect(top).toMatchObject({ dependencies: manifest.dependencies, bin: manifest.bin, engines: manifest.engines });
  });

  test("run nothing when they are installed, but for one that marks its programs executable", () => {
    const scripted = Object.keys(locked).filter((path) => locked[path]!.hasInstallScript);
    expect(scripted).toEqual(["node_modules/clang-format-node"]);
    expect(locked[scripted[0]!]!.dev).toBe(true);
    expect(readJson(`${scripted[0]}/package.json`).scripts.postinstall).toBe("node chmod.js || exit 0");
  });
});

describe("the lock file", () => {
  test("names no registry", () => {
    expect(Object.keys(locked).filter((path) => locked[path]!.resolved !== undefined)).toEqual([]);
    expect(lockText).not.toMatch(
      /https?:\/\/(?!(www\.)?(github\.com|opencollective\.com|tidelift\.com|patreon\.com))[^"]*\.tgz/,
    );
    expect(readFileSync(".npmrc", "utf8")).toMatch(/^omit-lockfile-registry-resolved=true$/m);
  });

  // npm writes no entry for a package that its registry did not have, and `npm ci` then refuses the whole file.
  test("has an entry for every package that another one may ask for, on any system", () => {
    const missing = Object.entries(locked as Record<string, { optionalDependencies?: Record<string, string> }>).flatMap(
      ([path, { optionalDependencies = {} }]) =>
        Object.keys(optionalDependencies).filter(
          (name) => !locked[`node_modules/${name}`]?.version && !locked[`${path}/node_modules/${name}`]?.version,
        ),
    );
    expect(missing).toEqual([]);
  });
});

test("no script is a hook of another by accident", () => {
  const names = Object.keys(manifest.scripts);
  const hooks = names.filter((name) => names.includes(name.replace(/^(pre|post)/, "")) && /^(pre|post)/.test(name));
  expect(hooks).toEqual([]); // npm would run `prebuild` before every `build`
});

test("Node 20 is enough, and is what the types describe", () => {
  expect(manifest.engines).toEqual({ node: ">=20" });
  expect(manifest.devDependencies["@types/node"]).toMatch(/^20\./);
});

describe("the package", () => {
  const { stdout } = spawnSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { encoding: "utf8" });
  const files: string[] = JSON.parse(stdout)[0].files.map(({ path }: { path: string }) => path);

  test("holds what a source build needs, and the commands it promises", () => {
    const native = ["native/addon/addon.cpp", "native/cpu/isa.def", "native/kernels/kernels.def"];
    const scripts = ["scripts/build_native.mjs", "scripts/build_lock.mjs", "scripts/build_tools.mjs"];
    expect(files).toEqual(expect.arrayContaining(["CMakeLists.txt", "binding.gyp", "LICENSE", ...native, ...scripts]));
    for (const command of Object.values(manifest.bin) as string[]) {
      expect(files).toContain(command);
      expect(readFileSync(command, "utf8")).toMatch(/^#!\/usr\/bin\/env node\n/);
    }
    expect(statSync("scripts/build_native.mjs").mode & 0o111).toBe(0o111);
  });

  test("holds every script that its own scripts import", () => {
    for (const path of files.filter((file) => file.endsWith(".mjs"))) {
      const imports = [...readFileSync(path, "utf8").matchAll(/from "(\.[^"]+)"/g)].map((match) =>
        join(path, "..", match[1]!),
      );
      expect(files).toEqual(expect.arrayContaining(imports));
    }
  });

  test("holds nothing that only this checkout needs", () => {
    const needed =
      /^(dist|native|prebuilds|recipes|assets\/quickstart)\/|^scripts\/build_\w+\.mjs$|^(CMakeLists\.txt|binding\.gyp|package\.json|README\.md|CHANGELOG\.md|LICENSE)$/;
    expect(files.filter((path) => !needed.test(path) || /tsbuildinfo|\.built$|\.test\./.test(path))).toEqual([]);
  });

  test("mentions no path of a machine", () => {
    const place = /["'`\s(=](\/(work|tmp|farm|root|home|Users)\/[\w.-]+)/;
    const texts = files.filter((path) => !path.endsWith(".node")); // check_package.mjs reads the prebuilt addon
    const found = texts.flatMap((path) => {
      const text = readFileSync(path, "utf8");
      const match = text.includes(process.cwd()) ? process.cwd() : place.exec(text)?.[1];
      return match ? [`${path}: ${match}`] : [];
    });
    expect(found).toEqual([]);
  });
});
