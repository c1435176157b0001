import { DataError } from "../base/errors.js";
import type { TokenPair, TokenSequence } from "../data/encode.js";
import { eachRow, type Rows } from "../data/rows.js";
import type { ModelConfig } from "../model/config.js";
import type { Tokenizer } from "../text/tokenizer.js";

/** What reads the tokens, and what made them. `folder` is the tokenizer's, for errors. */
export interface Reader {
  readonly config: Pick<ModelConfig, "vocabSize" | "maxPositionEmbeddings">;
  readonly tokenizer: Tokenizer;
  readonly folder: string;
}

/**
 * Holds rows to the model that is to read them. Throws DataError for a token that the model has no embedding for. Rows
 * longer than the positions the model was made for are no error, since rotary positions go on, but they are counted.
 */
export function checkTokens(
  label: string,
  rows: Rows<TokenSequence | TokenPair>,
  reader: Reader,
): (readonly [string, number])[] {
  const { maxPositionEmbeddings: most } = reader.config;
  let beyond = 0;
  for (const row of eachRow(rows)) {
    const parts = "ids" in row ? [row.ids] : [row.prompt, row.chosen, row.rejected];
    const fault = parts.map((ids) => findUnknown(ids, reader)).find((found) => found !== undefined);
    if (fault !== undefined) throw new DataError(row.place, fault);
    const answer = "ids" in row ? row.ids.length : Math.max(row.chosen.length, row.rejected.length);
    if (("ids" in row ? 0 : row.prompt.length) + answer > most) beyond++;
  }
  return beyond > 0 ? [[`${label} rows longer than the model's max_position_embeddings, ${most}`, beyond]] : [];
}

function findUnknown(ids: Int32Array, { config, tokenizer, folder }: Reader): string | undefined {
  const unknown = ids.find((id) => id >= config.vocabSize);
  if (unknown === undefined) return undefined;
  const token = JSON.stringify(tokenizer.token(unknown) ?? "");
  return (
    `token ${unknown}, ${token}, is not among the model's ${config.vocabSize} (vocab_size in config.json); ` +
    `the tokenizer of ${folder} has ${tokenizer.vocabSize}, expected the model's own`
  );
}
