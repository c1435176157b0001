import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../..");

/** A folder with a random model of 15m, 110m or 1.1b parameters that both sides can load. Made once, in build. */
export function modelFolder(
  size: string,
  { python, tokenizer }: { readonly python: string; readonly tokenizer: string },
) {
  const folder = join(ROOT, "build/peers", `model-${size}`);
  if (existsSync(join(folder, "config.json"))) return folder;
  const script = join(import.meta.dirname, "make_model.py");
  const { status, stderr } = spawnSync(python, [script, tokenizer, folder, size], { encoding: "utf8" });
  if (status !== 0) throw new Error(`make_model.py: ${stderr}`);
  return folder;
}
