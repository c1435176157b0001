import { createHash, randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach } from "vitest";

import type { HubEvent } from "../../lib/hub/context.js";
import { type HubOptions, type Located, locateDataset, locateModel } from "../../lib/hub/resolve.js";
import type { HubSettings } from "../../lib/hub/settings.js";
import { temporaryFolder } from "../run/collect.js";
import { type FakeFiles, FakeHub } from "./fake_hub.js";

/** A fake hub for the tests of a file, with a new cache for each of them. */
export async function useHub() {
  const hub = await FakeHub.start();
  const root = temporaryFolder();
  let cache = "";
  beforeEach(() => {
    hub.seen.length = 0;
    hub.interfere = () => false;
    cache = join(root, randomBytes(4).toString("hex"));
  });
  const settings = (more: Partial<HubSettings> = {}): HubSettings => ({
    ...{ endpoint: hub.endpoint, cache, token: undefined, offline: false, symlinks: true, retryMs: 5, stallMs: 5000 },
    ...more,
  });
  const options = ({ settings: more, ...rest }: HubOptions = {}): HubOptions => ({ ...rest, settings: settings(more) });
  return {
    hub,
    settings,
    get cache() {
      return cache;
    },
    model: (name: string, more?: HubOptions): Promise<Located> => locateModel(name, options(more)),
    dataset: (name: string, more?: HubOptions & { splits?: string[] }): Promise<Located> =>
      locateDataset(name, { ...options(more), splits: more?.splits }),
    /** All files in the cache, in order. */
    files: (): string[] =>
      readdirSync(cache, { recursive: true, withFileTypes: true })
        .filter((entry) => !entry.isDirectory())
        .map((entry) => join(entry.parentPath, entry.name).slice(cache.length + 1))
        .sort(),
    blobs: (repo: string): string[] => readdirSync(join(cache, repo, "blobs")).sort(),
  };
}

/** Bytes that are no one else's, by a seed. */
export function someBytes(length: number, seed: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, i) =>
    createHash("sha256").update(`${seed} ${i}`).digest(),
  );
  return Buffer.concat(blocks).subarray(0, length);
}

/** The files of a model, of which the weights are large. */
export const modelFiles = (bytes = 200_000, seed = 1): FakeFiles => ({
  "README.md": "# A model\n",
  "config.json": '{"a": 1}\n',
  "tokenizer.json": "{}\n",
  "model.safetensors": { bytes: someBytes(bytes, seed), isLarge: true },
});

export const read = (located: Located, name: string): Buffer => readFileSync(join(located.path, name));

/** Gathers events. */
export function gather(): { events: HubEvent[]; onEvent: (event: HubEvent) => void } {
  const events: HubEvent[] = [];
  return { events, onEvent: (event) => events.push(event) };
}
