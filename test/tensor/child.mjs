// A process that uses the addon directly: `node child.mjs ADDON exit|workers`.
import { createRequire } from "node:module";
import { isMainThread, Worker, workerData } from "node:worker_threads";

const [addonPath, mode] = isMainThread ? process.argv.slice(2) : [workerData, "busy"];
const addon = createRequire(import.meta.url)(addonPath);
addon.setErrorClass(
  class extends Error {
    constructor(code, message) {
      super(message);
      this.code = code;
    }
  },
);

/** Enqueues far more work than a moment can do. */
function startWork() {
  const stream = addon.createStream("cpu", 2, "");
  const arena = addon.createArena(stream, 0);
  const [a, y] = [0, 1].map(() => addon.createTensor(arena, "f32", 1, 1 << 20));
  for (let i = 0; i < 20_000; i++) addon.kernels.add(stream, a, a, y);
  return { stream, y };
}

if (mode === "exit") {
  startWork();
  setTimeout(() => process.exit(7), 20);
} else if (mode === "busy") {
  const { stream } = startWork();
  await addon.sync(stream);
} else {
  const workers = [0, 1].map(() => new Worker(new URL(import.meta.url), { workerData: addonPath }));
  await new Promise((resolve) => setTimeout(resolve, 300));
  await Promise.all(workers.map((worker) => worker.terminate()));
  const { stream, y } = startWork();
  addon.disposeStream(stream);
  console.log(addon.tensors === undefined && typeof y);
}
