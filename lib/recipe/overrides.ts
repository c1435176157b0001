import { UsageError } from "../base/errors.js";

/** One `--key=value` of a command line. Dots in it lead into mappings and lists. */
export interface Override {
  readonly path: readonly [key: string, ...rest: string[]];
  /** undefined: a bare `--key`, which means true. */
  readonly text: string | undefined;
}

/**
 * Reads `--key=value`, `--key value` and a bare `--key`. Hyphens in a key may stand for underscores. Throws UsageError
 * for anything else. A value that itself begins with `--` needs the form with `=`.
 */
export function parseOverrides(args: readonly string[]): Override[] {
  const overrides: Override[] = [];
  for (let i = 0; i < args.length; i++) {
    const match = /^--([A-Za-z_][^=]*)(?:=([\s\S]*))?$/.exec(args[i]!);
    if (match === null) throw new UsageError(`${args[i]}: expected --key=value`);
    const next = args[i + 1];
    const isPair = match[2] === undefined && next !== undefined && !next.startsWith("--");
    if (isPair) i++;
    const [key, ...rest] = match[1]!.split(".");
    overrides.push({ path: [key!.replaceAll("-", "_"), ...rest], text: match[2] ?? (isPair ? next : undefined) });
  }
  return overrides;
}
