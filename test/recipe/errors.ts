import { WestwindError } from "../../lib/base/errors.js";

/** The code and message of what `run` throws. */
export function thrown(run: () => unknown): { code: string; message: string; key?: string } {
  try {
    run();
  } catch (error) {
    if (!(error instanceof WestwindError)) throw error;
    return error;
  }
  throw new Error("nothing was thrown");
}

/** The lines of what `run` throws, which has to be about the recipe. */
export function problemsOf(run: () => unknown): string[] {
  const { code, message } = thrown(run);
  if (code !== "ERR_CONFIG") throw new Error(`${code}: ${message}`);
  return message.split("\n");
}
