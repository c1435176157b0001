// our_steps.ts dpo|sft --KEY=VALUE ...: a run of the library as the recipe keys say, one optimiser step for every line on
// standard input. Answers as trl_steps.py does; the line that says it is ready has the seconds that the reference model
// took for all rows.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

import { parseRecipe, runDpo, runSft } from "../../lib/index.js";

const say = (answer: object) => process.stdout.write(`${JSON.stringify(answer)}\n`);
const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Waits for the next line; the end of the input ends the run. */
async function turn(): Promise<void> {
  const { done } = await input.next();
  if (!done) return;
  const peak = /VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))![1];
  say({ peak_bytes: Number(peak) * 1024 });
  process.exit(0);
}

const [kind, ...overrides] = process.argv.slice(2);
const run = kind === "dpo" ? runDpo(parseRecipe("dpo", { overrides })) : runSft(parseRecipe("sft", { overrides }));
let began = performance.now(); // of the reference's pass
for await (const event of run) {
  if (event.kind === "reference" && event.done === 0) began = performance.now();
  if (event.kind === "step") {
    const { seconds, loss, tokens } = event.step;
    say({ seconds, loss, tokens });
    await turn();
  }
  const isReady = event.kind === "reference" ? event.done === event.total : event.kind === "prepared" && kind === "sft";
  if (!isReady) continue;
  say({ ready: true, reference_seconds: (performance.now() - began) / 1000 });
  await turn();
}
