import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLError } from "yaml";
import { ConfigError } from "../base/errors.js";

export interface YamlFile {
  readonly values: Readonly<Record<string, unknown>>;
  /** `file:line` of an entry, or of the nearest entry around it. */
  place(path: readonly string[]): string;
}

/** Reads a mapping. Throws ConfigError with `file:line:column` for text that is not YAML and for keys given twice. */
export function readYaml(name: string, text: string): YamlFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, merge: true, prettyErrors: false, logLevel: "error" });
  if (document.errors.length > 0) {
    throw new ConfigError("", document.errors.map((error) => describe(name, error, text, lines)).join("\n"));
  }
  const values = toValues(name, () => document.toJS());
  return {
    values,
    place(path) {
      let node: unknown = document.contents;
      let offset = 0;
      for (const step of path) {
        if (isMap(node)) {
          const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === step);
          if (pair === undefined) break;
          offset = (pair.key as Node).range?.[0] ?? offset;
          node = pair.value;
        } else if (isSeq(node)) {
          node = node.items[Number(step)];
          offset = (node as Node | undefined)?.range?.[0] ?? offset;
        } else break;
      }
      return `${name}:${lines.linePos(offset).line}`;
    },
  };
}

/** A value of the command line: YAML where it is some, else the text itself. */
export function readYamlValue(text: string): unknown {
  const document = parseDocument(text, { prettyErrors: false, logLevel: "error" });
  if (document.errors.length > 0) return text;
  try {
    return document.toJS();
  } catch {
    return text; // an alias of nothing
  }
}

function toValues(name: string, read: () => unknown): Record<string, unknown> {
  let values: unknown;
  try {
    values = read() ?? {};
  } catch (error) {
    throw new ConfigError("", `${name}: ${(error as Error).message}`);
  }
  if (typeof values === "object" && !Array.isArray(values)) return values as Record<string, unknown>;
  throw new ConfigError(
    "",
    `${name}: ${Array.isArray(values) ? "a list" : JSON.stringify(values)}, expected a mapping of keys to values`,
  );
}

function describe(name: string, error: YAMLError, text: string, lines: LineCounter): string {
  const { line, col } = lines.linePos(error.pos[0]);
  const place = `${name}:${line}:${col}`;
  if (error.code === "DUPLICATE_KEY") {
    const key = /^[^:\s]*/.exec(text.slice(error.pos[0]))?.[0] ?? "";
    return `${place}: ${key} is given twice`;
  }
  const message = error.message.split("\n")[0]!;
  return `${place}: ${message.charAt(0).toLowerCase()}${message.slice(1)}`;
}
