import { parentPort, workerData } from "node:worker_threads";
import type { RowBlock } from "../data/row_blocks.js";
import type { Curation } from "./curation.js";
import { Curator } from "./curator.js";

/** A thread that curates one block after the other. It answers nothing for a block that has a fault. */
const curator = Curator.load(workerData as Curation);

parentPort!.on("message", async (block: RowBlock) => {
  try {
    const curated = (await curator).curate(block);
    parentPort!.postMessage(curated, [curated.lines.buffer, curated.sketches.buffer]);
  } catch {
    parentPort!.postMessage(undefined);
  }
});
