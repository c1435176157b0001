#!/usr/bin/env node
process.stdout.on("error", ({ code, message }: NodeJS.ErrnoException) => {
  if (code === "EPIPE") process.exit(141); // 128 + SIGPIPE: as other programs end when nobody reads on
  process.stderr.write(`westwind: stdout: ${message}\n`);
  process.exit(1);
});
// Progress is for whoever reads it: a run goes on without, as behind a tee that ended or a terminal that was closed.
process.stderr.on("error", () => undefined);
process.on("exit", () => {
  if (process.exitCode !== 13) return; // Node's, where nothing is left that could go on
  process.stderr.write(
    "westwind: what was waited for never comes; an answer of rules that does not settle is one such\n",
  );
  process.exitCode = 70;
});
try {
  const { main } = await import("./program.js"); // which loads the native addon: it may be missing
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code !== "ERR_NO_ADDON") throw error;
  process.stderr.write(`westwind: ${message}\n`);
  process.exitCode = 1;
}
