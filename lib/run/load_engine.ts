import { ConfigError } from "../base/errors.js";
import type { LoadTextModel } from "../generate/text_model.js";

export const loadEngine: LoadTextModel = async () => {
  throw new ConfigError("engine", "is not there yet");
};
