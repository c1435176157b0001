import { expect, test } from "vitest";

import { Arena } from "../../lib/tensor/arena.js";
import { Device, systemInfo } from "../../lib/tensor/device.js";

/** On a real GPU other processes take and leave memory meanwhile. */
const isEmulated = systemInfo().cuda[0]?.name === "SIMT emulator";
const BYTES = 2 ** 28;

/** Bytes that were free before an arena took some of a device of its own, which are both gone then. */
function hold(): number {
  using device = Device.cuda(0);
  const { free } = device.memory;
  using arena = new Arena(device, { kept: BYTES });
  expect(device.memory.free).toBeLessThanOrEqual(free - arena.bytes);
  return free;
}

test.runIf(isEmulated)("what a device held is free again when it is gone", () => {
  const before = hold();
  expect(hold()).toBeGreaterThan(before - BYTES / 2);
});
