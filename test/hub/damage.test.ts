import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

import { modelFiles, read, someBytes, useHub } from "./downloads.js";
import { sha256 } from "./fake_hub.js";

const use = await useHub();
const { hub } = use;

const LENGTH = 200_000;
const weights = (seed: number): Buffer => someBytes(LENGTH, seed);

describe("what is not what was promised", () => {
  const instead = (bytes: Buffer, more: Record<string, string> = {}): void => {
    hub.interfere = ({ server }, response) => {
      if (server !== "store") return false;
      response.writeHead(200, { "content-length": bytes.length, ...more }).end(bytes);
      return true;
    };
  };

  test("in its bytes is removed, and said", async () => {
    hub.push("model", "o/bytes", modelFiles(LENGTH, 13));
    const bad = Buffer.from(weights(13));
    bad[LENGTH - 1]! ^= 1;
    instead(bad);
    await expect(use.model("o/bytes")).rejects.toThrow(
      `o/bytes: model.safetensors has sha256 ${sha256(bad)}, expected ${sha256(weights(13))}; what came was removed`,
    );
    expect(use.blobs("models--o--bytes").filter((name) => name.startsWith(sha256(weights(13))))).toEqual([]);
    expect(readdirSync(join(use.cache, "models--o--bytes"))).not.toContain("refs");
    hub.interfere = () => false;
    expect(read(await use.model("o/bytes"), "model.safetensors").equals(weights(13))).toBe(true);
  });

  test("in a small file too, by git's hash", async () => {
    hub.push("model", "o/small", modelFiles(LENGTH, 14));
    hub.interfere = ({ url }, response) => {
      if (!/resolve.*config.json/.test(url)) return false;
      response.writeHead(200, { "content-length": 9 }).end('{"a": 9}\n');
      return true;
    };
    await expect(use.model("o/small")).rejects.toThrow(
      /config\.json has git sha1 [0-9a-f]{40}, expected [0-9a-f]{40}; /,
    );
  });

  test("in its length is refused before it is written", async () => {
    hub.push("model", "o/length", modelFiles(LENGTH, 15));
    instead(weights(15).subarray(1));
    await expect(use.model("o/length")).rejects.toThrow(/model\.safetensors is 199999 bytes long, expected 200000$/);
  });

  test("in its kind is refused before it is written", async () => {
    hub.push("model", "o/page", modelFiles(LENGTH, 16));
    instead(Buffer.from("<html>log in</html>"), { "content-type": "text/html; charset=utf-8" });
    const failed = use.model("o/page");
    await expect(failed).rejects.toThrow(
      "o/page: model.safetensors comes as text/html; a proxy may stand before the hub",
    );
    await expect(failed).rejects.toMatchObject({ failure: "answer" });
  });
});
