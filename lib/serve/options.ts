import { BlockList, isIP, isIPv6 } from "node:net";
import { ConfigError } from "../base/errors.js";
import type { TextGenerator } from "../generate/request.js";
import type { ChatTemplate } from "../text/chat_template.js";
import type { Tokenizer } from "../text/tokenizer.js";

/** What is served. */
export interface ServedModel {
  readonly engine: TextGenerator;
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
}

/** A request that is over, for a log. */
export interface ServedRequest {
  readonly method: string;
  readonly path: string;
  /** 499 where the client went away before the answer was complete. */
  readonly status: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly milliseconds: number;
}

export interface ServeLimits {
  /** Bytes of a request's body. Default 4 MiB. */
  readonly maxBodyBytes: number;
  /** Tokens of a prompt and one answer to it. Default, and at most: what the engine has positions for. */
  readonly maxTokens: number;
  /** Answers of one request: its prompts times `n`. Default 128. */
  readonly maxChoices: number;
  /** Requests that run or wait at the same time; further ones are refused with 429. Default 256. */
  readonly maxRequests: number;
  /** Open connections; further ones are closed at once. Default 1024. */
  readonly maxConnections: number;
  /** Bytes of a request's headers. Default 16 KiB. */
  readonly maxHeaderBytes: number;
  /** Time for a request's headers to arrive. Default 10. */
  readonly headerSeconds: number;
  /** Time for a whole request to arrive. Default 60. */
  readonly bodySeconds: number;
  /** Time from a request's headers to the end of its answer. Default 600. */
  readonly requestSeconds: number;
  /** Time for which a client may leave a part of its answer unread. Default 30. */
  readonly stallSeconds: number;
  /** Time for which a connection without a request is kept. Default 5. */
  readonly keepAliveSeconds: number;
}

export interface ServeOptions extends Partial<ServeLimits> {
  /** The model's name in requests and answers. */
  readonly name: string;
  /** Default 127.0.0.1. Another than this machine's own needs `apiKey`. */
  readonly host?: string;
  /** Default 8000; 0 takes one that is free. */
  readonly port?: number;
  /** What clients have to send as a bearer token. Default: nothing. */
  readonly apiKey?: string;
  /** The one origin whose pages may use the server from a browser. Default: none. */
  readonly allowOrigin?: string;
  /** Told of every request when it is over. */
  readonly onRequest?: (request: ServedRequest) => void;
  /** Told of what was answered with status 500, and of nothing else. */
  readonly onDefect?: (error: unknown) => void;
}

/** The options with nothing left open. */
export type Settings = ServeOptions & ServeLimits & { readonly host: string; readonly port: number };

const DEFAULT_HOST = "127.0.0.1";
const DEFAULT_PORT = 8000;
const DEFAULTS: Omit<ServeLimits, "maxTokens"> = {
  maxBodyBytes: 4 * 2 ** 20,
  maxChoices: 128,
  maxRequests: 256,
  maxConnections: 1024,
  maxHeaderBytes: 16 * 2 ** 10,
  headerSeconds: 10,
  bodySeconds: 60,
  requestSeconds: 600,
  stallSeconds: 30,
  keepAliveSeconds: 5,
};
const LIMITS = [...(Object.keys(DEFAULTS) as (keyof typeof DEFAULTS)[]), "maxTokens"] as const;

/** Throws ConfigError for options that cannot be, whatever is served. */
export function checkServeOptions(options: ServeOptions): void {
  const { name, host = DEFAULT_HOST, port = DEFAULT_PORT, apiKey, allowOrigin } = options;
  if (name === "") throw new ConfigError("name", "an empty text, expected a model's name");
  if (!(Number.isInteger(port) && port >= 0 && port < 2 ** 16))
    throw new ConfigError("port", `${port}, expected a whole number below 65536`);
  checkAccess(host, apiKey);
  if (allowOrigin !== undefined && !isOrigin(allowOrigin))
    throw new ConfigError("allowOrigin", `${allowOrigin}, expected an origin as https://example.com`);
  for (const key of LIMITS) {
    const value = options[key];
    if (value === undefined) continue;
    if (key.startsWith("max") ? Number.isInteger(value) && value > 0 : value > 0 && value <= MOST_SECONDS) continue;
    const expected = key.startsWith("max") ? "a positive integer" : `seconds above 0 and at most ${MOST_SECONDS}`;
    throw new ConfigError(key, `${value}, expected ${expected}`);
  }
}

/** The options with defaults for what is not named. Throws ConfigError for one that cannot be. */
export function toSettings(options: ServeOptions, engine: TextGenerator): Settings {
  checkServeOptions(options);
  const most = engine.maxTokens;
  if ((options.maxTokens ?? 0) > most)
    throw new ConfigError("maxTokens", `${options.maxTokens}, expected at most the engine's ${most}`);
  const named = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as ServeOptions;
  return { host: DEFAULT_HOST, port: DEFAULT_PORT, ...DEFAULTS, maxTokens: most, ...named };
}

const MOST_SECONDS = 86_400; // a timer holds 2^31 ms

const isOrigin = (text: string): boolean => URL.canParse(text) && new URL(text).origin === text;

function checkAccess(host: string, apiKey: string | undefined): void {
  if (apiKey === undefined && !isLoopback(host))
    throw new ConfigError("host", `${host} can be reached from other machines, which needs an API key`);
  if (apiKey !== undefined && !/^[\x21-\x7e]{8,}$/.test(apiKey))
    throw new ConfigError("apiKey", "expected at least 8 printable ASCII characters without blanks"); // not shown
}

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8);
loopback.addAddress("::1", "ipv6");

/** Whether only this machine can reach an address. Of names only localhost is known to. */
export function isLoopback(host: string): boolean {
  if (isIP(host) === 0) return host.toLowerCase() === "localhost";
  return loopback.check(host, isIPv6(host) ? "ipv6" : "ipv4");
}
