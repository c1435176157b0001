// Checks the declarations of native/cuda/cublaslt.h: that a library has every function and takes the attributes as they
// are set, and that NVIDIA's header, where it lies beside the library, has the same values. No GPU needed, nothing
// installed:
//   node test/cuda/check_cublaslt.mjs [path of libcublasLt.so.13, default: the one that westwind finds]
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const library = process.argv[2];
const run = (command, args, env) =>
  spawnSync(command, args, { cwd: root, stdio: "inherit", env: { ...process.env, ...env } }).status ?? 1;

const headers = library ? join(dirname(library), "../include") : "/usr/local/cuda/include";
const toolkit = `${process.env.CUDA_HOME ?? "/usr/local/cuda"}/include`;
const hasHeader = existsSync(join(headers, "cublasLt.h")) && existsSync(join(toolkit, "driver_types.h"));
process.stdout.write(hasHeader ? `       against ${headers}/cublasLt.h\n` : "       no header beside the library\n");

const folder = mkdtempSync(join(tmpdir(), "westwind-cublaslt-"));
const program = join(folder, "check");
const options = hasHeader ? ["-DWW_HEADER", "-isystem", headers, "-isystem", toolkit] : [];
const sources = ["test/cuda/check_cublaslt.cpp", "native/cuda/cublaslt.cpp"];
const status =
  run("g++", ["-std=c++20", "-Wall", "-Wextra", "-I.", ...options, ...sources, "-ldl", "-o", program]) ||
  run(program, [], library && { WESTWIND_CUBLASLT: library });
rmSync(folder, { recursive: true });
process.exit(status);
