// Appends a line of JSON for each test that ends, and each file that does not load, to $WESTWIND_TEST_ROWS.
import { appendFileSync } from "node:fs";

const file = process.env.WESTWIND_TEST_ROWS;
const write = (test, state, errors, ms) => {
  const message = errors?.[0]?.message;
  appendFileSync(file, `${JSON.stringify({ test, state, ms, ...(message && { message }) })}\n`);
};

export default class {
  onTestCaseResult(test) {
    const { state, errors } = test.result();
    write(test.fullName, state, errors, Math.round(test.diagnostic()?.duration ?? 0));
  }

  onTestModuleEnd(module) {
    const errors = module.errors();
    if (errors.length > 0) write(module.relativeModuleId, "failed", errors, 0);
  }

  onTestRunEnd(_modules, unhandled) {
    for (const error of unhandled) write("outside of the tests", "failed", [error], 0);
  }
}
