import { createRequire } from "node:module";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { WestwindError } from "../base/errors.js";
import type { Surface } from "./surface.js";

/** An error of the addon: `code` is ERR_SHAPE, ERR_VALUE, ERR_DISPOSED, ERR_DEVICE, ERR_FILE or ERR_OUT_OF_MEMORY. */
export class NativeError extends WestwindError {}

const packageRoot = fileURLToPath(new URL("../..", import.meta.url));

/** The addon: `WESTWIND_ADDON` if set, else a build of this checkout, else the prebuilt binary of this platform. */
function load(): Surface {
  const require = createRequire(import.meta.url);
  const given = process.env.WESTWIND_ADDON;
  try {
    const surface = (given ? require(resolve(given)) : require("node-gyp-build")(packageRoot)) as Surface;
    surface.setErrorClass(NativeError);
    return surface;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split("\n")[0] : String(cause);
    const looked = given ?? `${packageRoot}{build/Release,prebuilds/${process.platform}-${process.arch}}`;
    throw new WestwindError(
      "ERR_NO_ADDON",
      `the native addon did not load from ${looked}: ${reason}; build it with \`npx westwind-build\` (needs CMake and a C++ compiler)`,
      { cause },
    );
  }
}

export const native: Surface = load();
