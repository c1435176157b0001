import { readFile } from "node:fs/promises";
import { FileError } from "./errors.js";

/** The value of a JSON file. Throws FileError for one that cannot be read or is not JSON. */
export async function readJson(path: string): Promise<unknown> {
  const text = await readFile(path, "utf8").catch((cause) => {
    throw new FileError(path, cause.code === "ENOENT" ? "no such file" : cause.message, { cause });
  });
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FileError(path, `not JSON: ${(cause as Error).message}`, { cause });
  }
}

/** Whether a JSON value is an object: not null, not a list. */
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
