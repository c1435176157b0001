// A process that uses the addon directly: `node child.mjs ADDON exit|workers|dispose|fuzz`.
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
  const [x, bias] = [[1, 1 << 20], [1 << 20]].map((shape) => addon.createTensor(arena, "f32", ...shape));
  for (let i = 0; i < 20_000; i++) addon.kernels.bias_forward(stream, x, bias);
  return { stream, arena, x };
}

/** Disposes of a stream while promises wait for it: with an arena left its work runs on, without it is dropped. */
async function dispose() {
  const told = (promise) =>
    promise.then(
      () => "reached",
      ({ code }) => code,
    );
  const kept = addon.createStream("cpu", 2, "");
  const arena = addon.createArena(kept, 0);
  const x = addon.createTensor(arena, "f32", 1 << 20);
  for (let i = 0; i < 50; i++) addon.kernels.fill(kept, x, i);
  const reached = Array.from({ length: 10 }, () => told(addon.sync(kept)));
  addon.disposeStream(kept);

  const dropped = startWork();
  const pending = [told(addon.sync(dropped.stream)), told(addon.readTensor(dropped.stream, dropped.x))];
  addon.disposeArena(dropped.arena);
  addon.disposeStream(dropped.stream);
  console.log([...new Set(await Promise.all(reached)), ...(await Promise.all(pending))].join());
}

/** Calls every function with arguments of wrong kinds, numbers and counts; only errors may come of it. */
async function fuzz() {
  let state = 1;
  const below = (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  const detached = new Float32Array(4);
  structuredClone(detached.buffer, { transfer: [detached.buffer] });
  const odd = [undefined, null, true, "", "x", "cpu", "f32", "F32", {}, [], Symbol("s"), 10n, () => 1, detached];
  odd.push(Number.NaN, -1, 0, 1, 2, 0.5, 2 ** 31, 2 ** 51, 2 ** 53, 2 ** 64, -(2 ** 63), 1e300, -Infinity, Infinity);
  odd.push(
    new Float32Array(16),
    new Uint16Array(16),
    new Float64Array(16),
    new Float32Array(new SharedArrayBuffer(64)),
  );

  const handles = [];
  const start = () => {
    const stream = addon.createStream("cpu", 2, "");
    const arena = addon.createArena(stream, 0);
    const [x, y] = [0, 1].map(() => addon.createTensor(arena, "f32", 1, 16));
    for (const tensor of [x, y]) addon.uploadTensor(tensor, new Float32Array(16));
    handles.splice(0, handles.length, stream, arena, x, y);
  };
  const { setErrorClass, manifest, kernels, flops, ...functions } = addon;
  const targets = [functions, kernels, flops].map((object) => Object.values(object));
  let errors = 0;
  const waiting = [];
  for (let i = 0; i < 20_000; i++) {
    if (i % 200 === 0) {
      for (const release of [() => addon.disposeArena(handles[1]), () => addon.disposeStream(handles[0])]) {
        try {
          release();
        } catch {} // already gone
      }
      start();
    }
    const group = targets[below(targets.length)];
    const values = Array.from({ length: below(8) }, () => (below(2) ? handles[below(4)] : odd[below(odd.length)]));
    try {
      const result = group[below(group.length)](...values);
      if (group === targets[0] && typeof result === "number") handles[2 + below(2)] = result;
      waiting.push(result);
    } catch {
      errors++;
    }
    if (i % 1000 === 999) await Promise.allSettled(waiting.splice(0));
  }
  for (const wrong of odd) {
    try {
      setErrorClass(wrong);
      addon.sync(0);
    } catch {
      errors++;
    }
  }
  console.log(errors > 10_000);
}

if (mode === "exit") {
  startWork();
  setTimeout(() => process.exit(7), 20);
} else if (mode === "busy") {
  const { stream } = startWork();
  await addon.sync(stream);
} else if (mode === "dispose") {
  await dispose();
} else if (mode === "fuzz") {
  await fuzz();
} else {
  const workers = [0, 1].map(() => new Worker(new URL(import.meta.url), { workerData: addonPath }));
  await new Promise((resolve) => setTimeout(resolve, 300));
  await Promise.all(workers.map((worker) => worker.terminate()));
  const { stream, x } = startWork();
  addon.disposeStream(stream);
  console.log(addon.tensors === undefined && typeof x);
}
