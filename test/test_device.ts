/** Where tests that compare whole models with recorded numbers run: WESTWIND_TEST_DEVICE, default the CPU. */
export const TEST_DEVICE = process.env.WESTWIND_TEST_DEVICE ?? "cpu";
