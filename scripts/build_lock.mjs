// Builds of one checkout take turns: two npm scripts started side by side would otherwise write the same files.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";

/** Runs `body` alone among the processes that lock `folder`; the lock of a process that died is taken over. */
export async function alone(folder, body) {
  const owner = `${folder}/owner`;
  for (;;) {
    try {
      mkdirSync(folder, { recursive: false });
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
      if (!ownerLives(owner)) rmSync(folder, { recursive: true, force: true });
      else await setTimeout(200);
    }
  }
  writeFileSync(owner, String(process.pid));
  try {
    return await body();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function ownerLives(owner) {
  try {
    const pid = Number(readFileSync(owner, "utf8"));
    return pid === 0 || process.kill(pid, 0); // 0: made this instant, not yet written
  } catch (error) {
    return error.code === "EPERM" || error.code === "ENOENT";
  }
}
