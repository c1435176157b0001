#!/usr/bin/env node
try {
  const { main } = await import("./program.js"); // which loads the native addon: it may be missing
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code !== "ERR_NO_ADDON") throw error;
  process.stderr.write(`westwind: ${message}\n`);
  process.exitCode = 1;
}
