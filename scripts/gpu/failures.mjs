// failures.mjs ROWS [LOG]: what a test run said, in short: the first failures by message, and the counts last. LOG is
// shown where no test ended. Exits with 1 unless all passed.
import { existsSync, readFileSync } from "node:fs";

const MOST = 40;
const [rows, log] = process.argv.slice(2);
const tests = (existsSync(rows) ? readFileSync(rows, "utf8") : "")
  .split("\n")
  .filter(Boolean)
  .map((row) => JSON.parse(row));
if (tests.length === 0 && log) console.log(readFileSync(log, "utf8").trim().split("\n").slice(-12).join("\n"));

const byMessage = new Map();
for (const { test, message = "" } of tests.filter(({ state }) => state === "failed")) {
  const [first] = message.split("\n");
  byMessage.set(first, [...(byMessage.get(first) ?? []), test]);
}
for (const [message, [first, ...others]] of [...byMessage].slice(0, MOST)) {
  const more = others.length > 0 ? ` (and ${others.length} more)` : "";
  console.log(`${first}${more}\n    ${message.slice(0, 240)}`);
}
if (byMessage.size > MOST) console.log(`... ${byMessage.size - MOST} other messages`);

const count = (wanted) => tests.filter(({ state }) => state === wanted).length;
console.log(`${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped`);
process.exit(count("failed") === 0 && count("passed") > 0 ? 0 : 1);
