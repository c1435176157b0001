import type { Scale } from "./aspects.js";
import type { Rated, Refusal } from "./rating.js";
import { readRatingJson } from "./rating_json.js";
import { readRatingText } from "./rating_text.js";

/**
 * The ratings of answers 1 to `count` from a judge's reply, JSON or text. What is not sure is refused, never guessed.
 * `shown`: texts that the judge was shown, and may quote.
 */
export function readJudgeReply(
  reply: string,
  count: number,
  scale: Scale,
  shown: readonly string[] = [],
): readonly Rated[] | Refusal {
  const said = withoutThoughts(reply);
  if (said.trim() === "") return { refused: "nothing was said" };
  return readRatingJson(said, count, scale, shown) ?? readRatingText(said, count, scale);
}

/** Thoughts of reasoning models hold drafts of ratings. Chat templates may have written the tag that opens them. */
const withoutThoughts = (reply: string): string =>
  reply.replace(/<think>[\s\S]*?(?:<\/think>|$)/gi, "").replace(/^[\s\S]*<\/think>/i, "");
