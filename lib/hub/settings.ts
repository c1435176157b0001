import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { ConfigError } from "../base/errors.js";

/** Where the hub is and how it is asked. */
export interface HubSettings {
  /** `https://huggingface.co`, without a slash at its end. */
  readonly endpoint: string;
  /** The folder of all models and data sets that were downloaded. */
  readonly cache: string;
  /** What shows the hub who asks, and where it was found. */
  readonly token: { readonly value: string; readonly source: string } | undefined;
  /** Only what is in the cache is used. */
  readonly offline: boolean;
  /** Files of a snapshot are links to blobs that snapshots share, rather than files of their own. */
  readonly symlinks: boolean;
  /** Milliseconds before what failed is tried again; twice as many the next time. */
  readonly retryMs: number;
  /** Milliseconds after which a connection on which nothing comes is given up. */
  readonly stallMs: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The settings that the environment gives, by the names that Python's huggingface_hub knows: HF_ENDPOINT, HF_HUB_CACHE,
 * HF_HOME, HF_TOKEN, HF_TOKEN_PATH, HF_HUB_OFFLINE, HF_HUB_DISABLE_SYMLINKS, HF_HUB_DISABLE_IMPLICIT_TOKEN. `given` goes
 * before them. Throws ConfigError for what cannot be an address or a token.
 */
export async function hubSettings(
  given: Partial<HubSettings> = {},
  environment: Environment = process.env,
): Promise<HubSettings> {
  const of = (...names: readonly string[]): string | undefined =>
    names.map((name) => environment[name]?.trim()).find((value) => value !== undefined && value !== "");
  const isOn = (...names: readonly string[]): boolean => /^(?:1|on|yes|true)$/i.test(of(...names) ?? "");
  const endpoint = (of("HF_ENDPOINT") ?? "https://huggingface.co").replace(/\/+$/, "");
  if (!/^https?:\/\//.test(endpoint) || !URL.canParse(endpoint)) {
    throw new ConfigError("HF_ENDPOINT", `${endpoint}, expected an address as https://huggingface.co`);
  }
  const { username, password } = new URL(endpoint);
  if (username + password !== "") {
    throw new ConfigError(
      "HF_ENDPOINT",
      "holds a user or password, expected an address without; HF_TOKEN shows who asks",
    );
  }
  const home = withHome(of("HF_HOME") ?? join(of("XDG_CACHE_HOME") ?? join("~", ".cache"), "huggingface"));
  return {
    endpoint,
    cache: withHome(of("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE") ?? join(home, "hub")),
    token: isOn("HF_HUB_DISABLE_IMPLICIT_TOKEN")
      ? undefined
      : (fromVariable(environment) ?? (await fromFile(withHome(of("HF_TOKEN_PATH") ?? join(home, "token"))))),
    offline: isOn("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"),
    symlinks: !isOn("HF_HUB_DISABLE_SYMLINKS"),
    retryMs: 500,
    stallMs: 30_000,
    ...given,
  };
}

function fromVariable(environment: Environment): HubSettings["token"] {
  const source = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"].find((name) => environment[name]?.trim());
  return source === undefined ? undefined : toToken(environment[source]!, source);
}

async function fromFile(source: string): Promise<HubSettings["token"]> {
  const text = await readFile(source, "utf8").catch(() => "");
  return text.trim() === "" ? undefined : toToken(text, source);
}

function toToken(text: string, source: string): HubSettings["token"] {
  const value = text.trim();
  if (/^[!-~]+$/.test(value)) return { value, source };
  throw new ConfigError(source, "holds a blank or a character that no token has, expected one token");
}

const withHome = (path: string): string => path.replace(/^~(?=$|\/)/, homedir());
