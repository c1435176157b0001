import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Gives a run of the tests a cache of its own, since one that other code filled would hide what this code does. */
export default function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), "westwind-cache-"));
  process.env.XDG_CACHE_HOME = folder;
  return () => rmSync(folder, { recursive: true });
}
