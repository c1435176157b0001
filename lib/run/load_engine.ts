import { ConfigError } from "../base/errors.js";
import { loadModel } from "../checkpoint/load_model.js";
import { generate } from "../generate/generate.js";
import type { GenerationEvent, GenerationRequest, TextGenerator } from "../generate/request.js";
import type { LoadedTextModel } from "../generate/text_model.js";
import type { Llama } from "../model/llama.js";
import { Device } from "../tensor/device.js";
import { resolveChatTemplate } from "../text/chat_template.js";
import { Tokenizer } from "../text/tokenizer.js";
import { stopTokensOf } from "./samples.js";

export interface LoadEngineOptions {
  readonly device?: string | undefined;
  readonly chatTemplate?: string | undefined;
}

/** A stand-in until there is an engine: one request at a time, told when it has ended, with temperature, topP and seed alone. */
class WholeAnswers implements TextGenerator {
  readonly maxTokens: number;
  readonly stats = {
    ...{ running: 0, waiting: 0, pagesUsed: 0, pagesKept: 0, pages: 0, promptTokens: 0, cachedTokens: 0 },
    ...{ generatedTokens: 0, steps: 0, preemptions: 0 },
  };

  constructor(
    private readonly model: Llama,
    private readonly tokenizer: Tokenizer,
  ) {
    this.maxTokens = model.config.maxPositionEmbeddings;
  }

  async *generate(request: GenerationRequest): AsyncGenerator<GenerationEvent, void, void> {
    const { prompt, temperature = 1, topP = 1, seed = 0, signal, maxNewTokens = this.maxTokens } = request;
    if (prompt.length >= this.maxTokens) {
      throw new ConfigError(
        "prompt",
        `${prompt.length} tokens, expected fewer than the ${this.maxTokens} there is room for`,
      );
    }
    const vocabulary = this.model.config.vocabSize;
    const unknown = prompt.find((id) => id >= vocabulary);
    if (unknown !== undefined) throw new ConfigError("prompt", `token ${unknown}, expected ids below ${vocabulary}`);
    const stopTokens = stopTokensOf(this.model, this.tokenizer.eosId);
    const [answer] = await generate(this.model, [prompt], {
      maxNewTokens,
      temperature,
      topP,
      seed,
      signal,
      stopTokens,
    });
    const text = this.tokenizer.decode(answer!.ids, { skipSpecialTokens: true });
    yield { kind: "prompt", cachedTokens: 0 };
    yield { kind: "end", choice: 0, finish: answer!.finish, text, numTokens: answer!.ids.length };
  }
}

export async function loadEngine(folder: string, options: LoadEngineOptions = {}): Promise<LoadedTextModel> {
  const tokenizer = await Tokenizer.load(folder);
  const template = resolveChatTemplate(options.chatTemplate, tokenizer);
  const device = Device.open(options.device ?? "auto");
  const dtype = device.kind === "cuda" ? "bf16" : "f32";
  const model = await loadModel(device, folder, { dtype, trainable: false });
  return {
    engine: new WholeAnswers(model, tokenizer),
    tokenizer,
    template,
    device: `${device.description}, ${dtype}`,
    async [Symbol.asyncDispose]() {
      model[Symbol.dispose]();
      device[Symbol.dispose]();
    },
  };
}
