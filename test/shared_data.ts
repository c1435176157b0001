import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../shared/data/", import.meta.url));

/** The path of a file or folder of the shared data set, or undefined where it is not on this machine. */
export function sharedData(name: string): string | undefined {
  const path = ROOT + name;
  return existsSync(path) ? path : undefined;
}

/** The rows of a JSON lines file. */
export function readJsonLines<T>(path: string): T[] {
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => JSON.parse(line) as T);
}
