import { ConfigError } from "../base/errors.js";
import type { HubContext, HubEvent, Repo } from "./context.js";
import { isHere, isHubName, splitRevision } from "./name.js";
import { type HubSettings, hubSettings } from "./settings.js";
import { type Snapshot, type SnapshotOptions, takeSnapshot } from "./snapshot.js";
import { chooseData, chooseModel, chooseTokenizer } from "./wanted.js";

export interface HubOptions {
  /** A branch, a tag or a commit of what is found on the hub. Default: the one behind the name's `@`, else `main`. */
  readonly revision?: string | null | undefined;
  /** Ends a download with an AbortedError; the next one goes on from there. */
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: HubEvent) => void) | undefined;
  /** Goes before what the environment says. */
  readonly settings?: Partial<HubSettings> | undefined;
}

export interface ResolveModelOptions extends HubOptions {
  /** Is shown the folder before the weights are downloaded, and throws what speaks against it. */
  readonly inspect?: SnapshotOptions["inspect"];
}

export interface ResolveDatasetOptions extends HubOptions {
  /** The splits that will be read: files that are named for others are not downloaded. Default: all. */
  readonly splits?: readonly string[] | undefined;
}

/** Where something is on this machine, and what it is on the hub if it came from there. */
export interface Located {
  readonly path: string;
  readonly snapshot?: Snapshot;
}

/**
 * A path of this machine as it is, or the folder that a model's name on the hub means; what is missing of it in the cache
 * is downloaded. A path that is missing is returned too: who opens it says so. Throws HubError, FileError, AbortedError, and
 * ConfigError for a revision that is none or one of two.
 */
export const locateModel = (nameOrPath: string, options: ResolveModelOptions = {}): Promise<Located> =>
  locate("model", nameOrPath, options, { choose: chooseModel, inspect: options.inspect });

/** `locateModel` for the tokenizer of a model alone. */
export const locateTokenizer = (nameOrPath: string, options: HubOptions = {}): Promise<Located> =>
  locate("model", nameOrPath, options, { choose: chooseTokenizer });

/** `locateModel` for the files of a data set. */
export const locateDataset = (nameOrPath: string, options: ResolveDatasetOptions = {}): Promise<Located> =>
  locate("dataset", nameOrPath, options, { choose: chooseData(options.splits) });

/** The path of `locateModel`. */
export const resolveModel = async (nameOrPath: string, options?: ResolveModelOptions): Promise<string> =>
  (await locateModel(nameOrPath, options)).path;

/** The path of `locateDataset`. */
export const resolveDataset = async (nameOrPath: string, options?: ResolveDatasetOptions): Promise<string> =>
  (await locateDataset(nameOrPath, options)).path;

async function locate(
  kind: Repo["kind"],
  nameOrPath: string,
  { revision, signal, onEvent, settings }: HubOptions,
  how: SnapshotOptions,
): Promise<Located> {
  const [name, own] = splitRevision(nameOrPath);
  if ((await isHere(nameOrPath)) || !isHubName(name)) return { path: nameOrPath };
  if (own !== undefined && revision != null && own !== revision) {
    throw new ConfigError(`${kind}_revision`, `${revision}, but ${nameOrPath} has its own, expected one of them`);
  }
  const context: HubContext = {
    repo: { kind, name, revision: own ?? revision ?? "main" },
    settings: await hubSettings(settings),
    signal,
    tell: (event) => onEvent?.(event),
    contact: { isMade: false },
  };
  const snapshot = await takeSnapshot(context, how);
  return { path: snapshot.path, snapshot };
}
