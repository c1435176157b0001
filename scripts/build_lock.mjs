// Builds of one checkout take turns: two npm scripts started side by side would otherwise write the same files.
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";

const POLL_MS = 100;

/** Runs `body` alone among the processes that lock `folder`; a lock whose process has died is taken over. */
export async function alone(folder, body) {
  const self = identify(process.pid);
  for (let said = false; !acquire(folder, self); ) {
    const owner = ownerOf(folder);
    if (owner === undefined) continue; // released this instant
    if (identify(Number.parseInt(owner, 10)) !== owner) {
      removeStale(folder, owner);
      continue;
    }
    if (!said) console.error(`westwind: waiting for the build of process ${Number.parseInt(owner, 10)}`);
    said = true;
    await setTimeout(POLL_MS);
  }
  try {
    return await body();
  } finally {
    if (ownerOf(folder) === self) rmSync(folder, { recursive: true, force: true });
  }
}

/** The folder appears with its owner in it, or not at all: rename replaces nothing but an empty folder. */
function acquire(folder, self) {
  const made = mkdtempSync(`${folder}.`);
  try {
    writeFileSync(`${made}/owner`, self);
    renameSync(made, folder);
    return true;
  } catch (error) {
    rmSync(made, { recursive: true, force: true });
    if (error.code === "ENOTEMPTY" || error.code === "EEXIST") return false;
    throw error;
  }
}

/** Moved aside before it is deleted, and put back if another process was quicker and the lock is now its own. */
function removeStale(folder, owner) {
  const aside = mkdtempSync(`${folder}.`);
  try {
    renameSync(folder, aside);
    if (ownerOf(aside) !== owner) renameSync(aside, folder);
  } catch (error) {
    if (!["ENOENT", "ENOTEMPTY", "EEXIST"].includes(error.code)) throw error;
  }
  rmSync(aside, { recursive: true, force: true });
}

function ownerOf(folder) {
  try {
    return readFileSync(`${folder}/owner`, "utf8");
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
