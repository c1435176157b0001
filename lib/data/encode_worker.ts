import { parentPort, workerData } from "node:worker_threads";
import { Encoder, type Encoding, type RowBlock } from "./encoder.js";

/** A thread of EncoderPool: encodes one block after the other. It answers nothing for a block that has a fault. */
const encoder = Encoder.load(workerData as Encoding);

parentPort!.on("message", async (block: RowBlock) => {
  try {
    const encoded = (await encoder).encode(block);
    parentPort!.postMessage(encoded, [encoded.data.buffer, encoded.lengths.buffer, encoded.flags.buffer]);
  } catch {
    parentPort!.postMessage(undefined);
  }
});
