// Builds of one checkout take turns: two npm scripts started side by side would otherwise write the same files.
import { randomUUID } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";

const POLL_MS = 100;

/**
 * Runs `body` alone among the processes that lock `folder`; a lock whose process has died is taken over. Why no two can
 * believe that they hold it is told in lib/base/lock.ts, which does the same.
 */
export async function alone(folder, body) {
  const [self, name] = [identify(process.pid), randomUUID()];
  for (let said = false; !acquire(folder, name, self); ) {
    const found = holderOf(folder);
    if (found === undefined) continue; // released this instant
    const pid = Number.parseInt(found.owner, 10);
    if (identify(pid) !== found.owner) {
      rmSync(join(folder, found.name), { force: true });
      continue;
    }
    if (!said) console.error(`westwind: waiting for the build of process ${pid}`);
    said = true;
    await setTimeout(POLL_MS);
  }
  try {
    return await body();
  } finally {
    rmSync(join(folder, name), { force: true });
    try {
      rmdirSync(folder);
    } catch {} // somebody's by now
  }
}

/** The folder appears with its owner in it, or not at all: rename replaces nothing but an empty folder. */
function acquire(folder, name, self) {
  const made = mkdtempSync(`${folder}.`);
  try {
    writeFileSync(join(made, name), self);
    renameSync(made, folder);
    return true;
  } catch (error) {
    rmSync(made, { recursive: true, force: true });
    if (error.code === "ENOTEMPTY" || error.code === "EEXIST") return false;
    throw error;
  }
}

/** Who holds the lock, and the name of the file that tells it; undefined where nobody does. */
function holderOf(folder) {
  try {
    const [name] = readdirSync(folder);
    return name === undefined ? undefined : { name, owner: readFileSync(join(folder, name), "utf8") };
  } catch (error) {
    if (error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** A process id with its start time where the system tells it, since ids are used again. Undefined when none runs. */
function identify(pid) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (error.code !== "EPERM") return undefined;
  }
  try {
    const [state, ...fields] = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ");
    return state === "Z" ? undefined : `${pid} ${fields[18]}`;
  } catch {
    return `${pid}`;
  }
}
