import { ConfigError } from "../base/errors.js";
import { loadModel } from "../checkpoint/load_model.js";
import { Engine, type EngineOptions } from "../generate/engine.js";
import type { LoadedTextModel } from "../generate/text_model.js";
import { type HubOptions, locateModel } from "../hub/resolve.js";
import { readModelConfig } from "../model/config.js";
import type { Llama } from "../model/llama.js";
import { Device } from "../tensor/device.js";
import { type ChatTemplate, resolveChatTemplate } from "../text/chat_template.js";
import { Tokenizer } from "../text/tokenizer.js";
import { stopTokensOf } from "./samples.js";

export interface LoadEngineOptions extends Omit<EngineOptions, "bytesOf" | "stopTokens"> {
  /** auto, cpu, cuda or cuda:N; default auto. */
  readonly device?: string | undefined;
  /** Of a CPU. Default: one for each processor that this process may use. */
  readonly threads?: number | undefined;
  /** bfloat16 or float32. Default: bfloat16 on a GPU, float32 on a CPU, where bfloat16 answers faster. */
  readonly dtype?: string | undefined;
  /** A built-in name or a template's source; default the model's own. */
  readonly chatTemplate?: string | undefined;
  /** How a model is found that is no folder of this machine. */
  readonly hub?: HubOptions | undefined;
}

/** A model that is ready to answer, and what its text is read and written with. */
export interface LoadedEngine extends LoadedTextModel {
  readonly engine: Engine;
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
}

/** Makes a model's folder, or its name on the hub, ready to answer; loadEngine is one. */
export type LoadTextModel = (
  nameOrPath: string,
  options: Pick<LoadEngineOptions, "device" | "dtype" | "threads" | "chatTemplate" | "hub">,
) => Promise<LoadedTextModel>;

/**
 * Loads a model's folder, or a model by its name on the hub, into an engine. Throws ConfigError, FileError or ModelError
 * for what cannot be used, and HubError for what the hub does not give.
 */
export async function loadEngine(nameOrPath: string, options: LoadEngineOptions = {}): Promise<LoadedEngine> {
  const { device: name = "auto", threads, dtype, chatTemplate, hub, ...engineOptions } = options;
  const { path: folder, snapshot } = await locateModel(nameOrPath, { ...hub, inspect: readModelConfig });
  const tokenizer = await Tokenizer.load(folder);
  const template = resolveChatTemplate(chatTemplate, tokenizer);
  const device = Device.open(name, threads === undefined ? {} : { threads });
  try {
    const precision = precisionFrom(dtype ?? (device.kind === "cuda" ? "bfloat16" : "float32"));
    const model = await loadModel(device, folder, { dtype: precision, trainable: false });
    const engine = makeEngine(model, tokenizer, engineOptions);
    return {
      engine,
      tokenizer,
      template,
      device: `${device.description}, ${precision}`,
      commit: snapshot?.commit,
      async [Symbol.asyncDispose]() {
        await engine[Symbol.asyncDispose]();
        model[Symbol.dispose]();
        device[Symbol.dispose]();
      },
    };
  } catch (error) {
    device[Symbol.dispose]();
    throw error;
  }
}

function makeEngine(model: Llama, tokenizer: Tokenizer, options: EngineOptions): Engine {
  const bytesOf = (id: number): Uint8Array => tokenizer.textBytesOf(id);
  try {
    return new Engine(model, { ...options, bytesOf, stopTokens: stopTokensOf(model, tokenizer.eosId) });
  } catch (error) {
    model[Symbol.dispose]();
    throw error;
  }
}

function precisionFrom(dtype: string): "f32" | "bf16" {
  if (dtype === "float32") return "f32";
  if (dtype === "bfloat16") return "bf16";
  throw new ConfigError("dtype", `${dtype}, expected bfloat16 or float32`);
}
