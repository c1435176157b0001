import { readFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import type { Command } from "commander";

import {
  checkServeOptions,
  FileError,
  type LoadEngineOptions,
  type ModelServer,
  type ServedModel,
  type ServeOptions,
  serve,
  UsageError,
} from "../index.js";
import { hubOptions } from "./download_progress.js";

/** Loads a model's folder, or a model by its name on the hub, into an engine. */
export type LoadEngine = (nameOrPath: string, options: LoadEngineOptions) => Promise<ServedModel & AsyncDisposable>;

type Flags = Readonly<Record<string, string | boolean | undefined>>;

const KEY_VARIABLE = "WESTWIND_API_KEY";

/** Flags whose numbers are the engine's, by the name that it has for them. */
const ENGINE = [
  ["threads", "--threads <number>", "threads of a CPU; default all"],
  ["maxSequences", "--max-sequences <number>", "most answers that grow at the same time; default 32, on a GPU 256"],
  ["cacheTokens", "--cache-tokens <number>", "tokens that the cache has room for; default 1 GiB of them, on a GPU 8"],
  [
    "tokensPerStep",
    "--tokens-per-step <number>",
    "most tokens of a step, of prompts above all; default 512, on a GPU 2048",
  ],
] as const;

/** Flags whose numbers are the server's limits, by the name that the server has for them. */
const LIMITS = [
  ["maxTokens", "--max-tokens <number>", "most tokens of a prompt and an answer; default the model's"],
  ["maxChoices", "--max-choices <number>", "most answers of a request; default 128"],
  ["maxRequests", "--max-requests <number>", "most requests that run or wait; default 256"],
  ["maxConnections", "--max-connections <number>", "most open connections; default 1024"],
  ["maxBodyBytes", "--max-body-bytes <number>", "most bytes of a request's body; default 4 MiB"],
  ["maxHeaderBytes", "--max-header-bytes <number>", "most bytes of a request's headers; default 16 KiB"],
  ["headerSeconds", "--header-seconds <number>", "time for a request's headers to arrive; default 10"],
  ["bodySeconds", "--body-seconds <number>", "time for a whole request to arrive; default 60"],
  ["requestSeconds", "--request-seconds <number>", "time for a request's answer; default 600"],
  ["stallSeconds", "--stall-seconds <number>", "time for which a client may leave its answer unread; default 30"],
  ["keepAliveSeconds", "--keep-alive-seconds <number>", "time for which an idle connection is kept; default 5"],
] as const;

export function addServe(westwind: Command, load: LoadEngine): void {
  const command = westwind
    .command("serve")
    .description("answer over HTTP as OpenAI's API does")
    .requiredOption("--model <folder>", "a model in Hugging Face's layout, or its name on the hub")
    .option("--revision <name>", "the branch, tag or commit of a model that is found on the hub; default main")
    .option("--name <name>", "the model's name in requests and answers; default the folder's")
    .option("--host <address>", "the address to listen on; another than this machine's own needs a key", "127.0.0.1")
    .option("--port <number>", "0 takes one that is free", "8000")
    .option("--api-key-file <file>", `a file with the key that clients have to send; or set ${KEY_VARIABLE}`)
    .option("--allow-origin <origin>", "let pages of this origin use the server from a browser")
    .option("--device <name>", "auto, cpu, cuda or cuda:N", "auto")
    .option("--dtype <name>", "bfloat16 or float32; default bfloat16 on a GPU, float32 on a CPU")
    .option("--chat-template <name>", "a built-in name or a template's source; default the model's")
    .option("--grace-seconds <number>", "time for running requests to finish after a signal to stop", "30")
    .option("--log-requests", "print a line for each request on stderr");
  for (const [, flag, description] of [...ENGINE, ...LIMITS]) command.option(flag, description);
  command.action((flags: Flags) => run(flags, load));
}

async function run(flags: Flags, load: LoadEngine): Promise<void> {
  const folder = String(flags.model);
  const { device, dtype, chatTemplate, revision } = flags as Readonly<Record<string, string | undefined>>;
  const graceSeconds = numberOf(flags, "graceSeconds") ?? 30;
  const options = serveOptions(flags, folder);
  checkServeOptions(options); // before the model is loaded, which takes longest
  const engine = Object.fromEntries(ENGINE.map(([key]) => [key, numberOf(flags, key)] as const));
  await using model = await load(folder, { ...engine, device, dtype, chatTemplate, hub: hubOptions({ revision }) });
  const server = await serve(model, options);
  say(`${options.name} at ${server.url}/v1`);
  await untilSignal(server, graceSeconds);
}

function serveOptions(flags: Flags, folder: string): ServeOptions {
  const { name = basename(resolve(folder)), host, allowOrigin, apiKeyFile } = flags as Readonly<Record<string, string>>;
  const apiKey = apiKeyFile === undefined ? process.env[KEY_VARIABLE] : readKey(apiKeyFile);
  const limits = LIMITS.map(([key]) => [key, numberOf(flags, key)] as const);
  return {
    ...Object.fromEntries(limits.filter(([, value]) => value !== undefined)),
    name,
    port: numberOf(flags, "port")!,
    ...(host !== undefined && { host }),
    ...(apiKey !== undefined && { apiKey }),
    ...(allowOrigin !== undefined && { allowOrigin }),
    ...(flags.logRequests === true && {
      onRequest: ({ method, path, status, promptTokens, completionTokens, milliseconds }) =>
        say(`${method} ${path} ${status} ${promptTokens}+${completionTokens} tokens ${milliseconds.toFixed(0)} ms`),
    }),
    onDefect: (error) => say(`a defect of westwind: ${error instanceof Error ? error.stack : String(error)}`),
  };
}

function readKey(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (cause) {
    throw new FileError(path, `the API key cannot be read: ${(cause as Error).message}`, { cause });
  }
}

function numberOf(flags: Flags, name: string): number | undefined {
  const text = flags[name];
  if (text === undefined) return undefined;
  if (text !== "" && Number.isFinite(Number(text)) && Number(text) >= 0) return Number(text);
  throw new UsageError(
    `--${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}: ${text}, expected a number from 0 up`,
  );
}

/** Serves until the first SIGINT or SIGTERM, then until running requests are over. The second ends the process at once. */
async function untilSignal(server: ModelServer, graceSeconds: number): Promise<void> {
  let isStopping = false;
  await new Promise<void>((resolve) => {
    const onSignal = (): void => {
      if (isStopping) process.exit(130);
      isStopping = true;
      say("stopping after the requests that run; once more to stop at once");
      resolve();
    };
    process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  });
  await server.close(graceSeconds);
}

const say = (line: string): void => void process.stderr.write(`westwind: ${line}\n`);
