import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { ConfigError, DataError, FileError } from "../base/errors.js";
import { isObject } from "../base/json.js";
import type { Message } from "../text/chat_template.js";
import type { Criterion } from "./aspects.js";
import { type Judge, NO_USAGE } from "./judge.js";
import { checkRating, describeScale, isRefusal, type Rated, type Rating, type Refusal } from "./rating.js";

/** What a rule file's function gives for one answer: by aspect (or `overall`) a rating, or one with its reason. */
export type RuleRatings = Readonly<Record<string, Rating | { readonly rating: Rating; readonly rationale?: string }>>;

/** The default export of a rule file. `prompt` is what was said last; `messages` is all that was said. */
export type Rules = (
  prompt: string,
  response: string,
  messages: readonly Message[],
) => RuleRatings | Promise<RuleRatings>;

/**
 * A judge of rules, for tests and small worlds. Throws DataError, with the row, for a rating that is missing or not on the
 * scale, and for what the rules throw.
 */
export function ruleJudge(name: string, rules: Rules): Judge {
  return {
    name,
    async rate(question) {
      const { messages, responses, criterion, place } = question;
      const apply = async (response: string): Promise<unknown> => {
        try {
          return await rules(messages.at(-1)!.content, response, messages);
        } catch (error) {
          throw new DataError(place, `${name} throws ${error instanceof Error ? error.stack : String(error)}`);
        }
      };
      const ratings: Rated[] = [];
      for (const response of responses) {
        const rated = toRated(await apply(response), criterion);
        if (isRefusal(rated)) throw new DataError(place, `${name} gives ${criterion.name}: ${rated.refused}`);
        ratings.push(rated);
      }
      return { ratings, usage: NO_USAGE };
    },
  };
}

/** The judge of a rule file: an ES module whose default export are the rules. Throws FileError and ConfigError. */
export async function loadRuleJudge(path: string): Promise<Judge> {
  const module = await import(pathToFileURL(resolve(path)).href).catch((cause) => {
    throw new FileError(path, `cannot be loaded: ${(cause as Error).message}`, { cause });
  });
  if (typeof module.default === "function") return ruleJudge(basename(path), module.default as Rules);
  throw new ConfigError("rules", `${path} exports ${typeof module.default} by default, expected a function`);
}

/** What stands for the content of a rule file: its SHA-256. Throws FileError. */
export async function hashRules(path: string): Promise<string> {
  const source = await readFile(path).catch((cause) => {
    throw new FileError(path, cause.code === "ENOENT" ? "no such file, expected rules" : cause.message, { cause });
  });
  return createHash("sha256").update(source).digest("hex");
}

function toRated(given: unknown, { name, scale }: Criterion): Rated | Refusal {
  const value = isObject(given) ? given[name] : undefined;
  const { rating, rationale } = isObject(value) ? value : { rating: value, rationale: undefined };
  if (rating === "N/A" && scale.mayNotApply) return { rating, rationale: String(rationale ?? "") };
  if (typeof rating !== "number")
    return { refused: `${JSON.stringify(rating) ?? "nothing"}, expected ${describeScale(scale)}` };
  const checked = checkRating(rating, scale);
  return isRefusal(checked) ? checked : { rating: checked, rationale: String(rationale ?? "") };
}
