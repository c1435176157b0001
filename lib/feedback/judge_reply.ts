import type { Scale } from "./aspects.js";
import type { Rated, Refusal } from "./rating.js";
import { readRatingJson } from "./rating_json.js";
import { readRatingText } from "./rating_text.js";

/** The ratings of answers 1 to `count` from a judge's reply, JSON or text. What is not sure is refused, never guessed. */
export function readJudgeReply(reply: string, count: number, scale: Scale): readonly Rated[] | Refusal {
  const said = reply.replace(/<think>[\s\S]*?(?:<\/think>|$)/gi, ""); // thoughts of reasoning models hold drafts of ratings
  if (said.trim() === "") return { refused: "nothing was said" };
  return readRatingJson(said, count, scale) ?? readRatingText(said, count, scale);
}
