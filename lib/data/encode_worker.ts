import { parentPort, workerData } from "node:worker_threads";
import type { RowChoice } from "./chosen.js";
import { Encoder, type Encoding } from "./encoder.js";
import type { RowBlock } from "./row_blocks.js";

/** A thread of a BlockPool: encodes one block after the other. It answers nothing for a block that has a fault. */
const encoder = Encoder.load(workerData as Encoding);

parentPort!.on("message", async (block: RowBlock<RowChoice>) => {
  try {
    const encoded = (await encoder).encode(block);
    parentPort!.postMessage(encoded, [encoded.data.buffer, encoded.lengths.buffer, encoded.flags.buffer]);
  } catch {
    parentPort!.postMessage(undefined);
  }
});
