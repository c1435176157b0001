import { loadModel } from "../checkpoint/load_model.js";
import { type GenerateOptions, generate } from "../generate/generate.js";
import { Device } from "../tensor/device.js";
import { type Message, resolveChatTemplate } from "../text/chat_template.js";
import { Tokenizer } from "../text/tokenizer.js";
import { checkPrompt } from "./check_tokens.js";
import { stopTokensOf } from "./samples.js";

export interface GenerateTextOptions extends Omit<GenerateOptions, "stopTokens"> {
  /** What the system says before the prompt. */
  readonly system?: string;
  /** A built-in name or a template's source; default the model's own. */
  readonly chatTemplate?: string;
  /** auto, cpu, cuda or cuda:N; default auto. */
  readonly device?: string;
  /** Continue the text as it is rather than answer it as a chat. */
  readonly raw?: boolean;
}

export interface GeneratedText {
  readonly text: string;
  readonly finish: "stop" | "length";
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
}

/** Loads a model's folder and answers one prompt. */
export async function generateText(
  folder: string,
  prompt: string,
  options: GenerateTextOptions,
): Promise<GeneratedText> {
  const tokenizer = await Tokenizer.load(folder);
  const ids =
    options.raw === true
      ? tokenizer.encode(prompt, { addSpecialTokens: true })
      : encodeChat(tokenizer, prompt, options);
  using device = Device.open(options.device ?? "auto");
  const dtype = device.kind === "cuda" ? "bf16" : "f32";
  using model = await loadModel(device, folder, { dtype, trainable: false });
  checkPrompt(ids, { config: model.config, tokenizer, folder });
  const [answer] = await generate(model, [ids], { ...options, stopTokens: stopTokensOf(model, tokenizer.eosId) });
  return {
    text: tokenizer.decode(answer!.ids, { skipSpecialTokens: true }),
    finish: answer!.finish,
    prompt_tokens: ids.length,
    completion_tokens: answer!.ids.length,
  };
}

function encodeChat(tokenizer: Tokenizer, prompt: string, { system, chatTemplate }: GenerateTextOptions): Int32Array {
  const messages: Message[] = [{ role: "user", content: prompt }];
  if (system !== undefined) messages.unshift({ role: "system", content: system });
  return tokenizer.encode(resolveChatTemplate(chatTemplate, tokenizer).render(messages, { addGenerationPrompt: true }));
}
