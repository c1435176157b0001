#!/usr/bin/env node
process.stdout.on("error", ({ code, message }: NodeJS.ErrnoException) => {
  if (code === "EPIPE") process.exit(141); // 128 + SIGPIPE: as other programs end when nobody reads on
  process.stderr.write(`westwind: stdout: ${message}\n`);
  process.exit(1);
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
