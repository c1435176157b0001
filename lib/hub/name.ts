import { stat } from "node:fs/promises";

/** Whether a file or folder of this machine is meant. It is taken before anything of the hub that is called the same. */
export const isHere = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined)) !== undefined;

/**
 * Whether a text that is no path of this machine may be a name on the hub: `owner/name`, or a bare `name` of the hub's
 * early days. What begins as paths do, has more than one slash or ends as files do is a path that is missing.
 */
export function isHubName(text: string): boolean {
  return NAME.test(text) && !/--|\.\.|\.git$/.test(text) && !FILE_ENDING.test(text);
}

/** A name and the revision behind its `@`, as in `owner/name@v1`. */
export function splitRevision(text: string): readonly [name: string, revision: string | undefined] {
  const at = text.indexOf("@");
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

// The hub's own rules: letters, digits, - _ and . inside, at most 96 of them.
const NAME = /^(?=.{1,96}$)(?:\w(?:[\w.-]*\w)?\/)?\w(?:[\w.-]*\w)?$/;

// A list, since names on the hub have dots: Mistral-7B-v0.1, Qwen2.5-0.5B.
const FILE_ENDING =
  /\.(?:jsonl?|ndjson|csv|tsv|txt|md|parquet|arrow|gz|zst|zip|tar|ya?ml|safetensors|bin|pt|pth|gguf|onnx)$/i;
