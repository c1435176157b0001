import { realpath } from "node:fs/promises";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { ConfigError } from "../base/errors.js";

/**
 * Throws ConfigError where an output would take the place of its input, or would be read as part of it the next time. Links
 * are followed. An input that is not there yet, or is a name on the hub, is in nobody's way.
 */
export async function checkApart(input: string, output: string): Promise<void> {
  const [from, to] = await Promise.all([realPathOf(input), realPathOf(output)]);
  const inside = relative(from, to);
  if (inside === "") throw new ConfigError("output", `${output}, expected another file than the input`);
  if (inside === ".." || inside.startsWith(`..${sep}`) || resolve(inside) === inside) return;
  throw new ConfigError("output", `${output}, expected a file outside of the input folder ${input}`);
}

/** Without links; the last parts of a path may not be there. */
async function realPathOf(path: string): Promise<string> {
  const whole = resolve(path);
  const real = await realpath(whole).catch(() => undefined);
  if (real !== undefined || dirname(whole) === whole) return real ?? whole;
  return join(await realPathOf(dirname(whole)), basename(whole));
}
