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
export const loadRuleJudge = async (path: string): Promise<Judge> =>
  ruleJudge(basename(path), (await importRules(path)).rules);

/** What stands for a rule file. */
export interface RulesOrigin {
  /** The SHA-256 of its own bytes, not of what it imports. */
  readonly rules: string;
  /** What it exports as `version`, to be changed with what it imports. */
  readonly version?: string | number;
}

/** Throws FileError and ConfigError. */
export async function originOfRules(path: string): Promise<RulesOrigin> {
  const { hash, version } = await importRules(path);
  return version === undefined ? { rules: hash } : { rules: hash, version };
}

interface RuleFile {
  readonly hash: string;
  readonly rules: Rules;
  readonly version?: string | number;
}

async function importRules(path: string): Promise<RuleFile> {
  const source = await readFile(path).catch((cause) => {
    throw new FileError(path, cause.code === "ENOENT" ? "no such file, expected rules" : cause.message, { cause });
  });
  const hash = createHash("sha256").update(source).digest("hex");
  const url = pathToFileURL(resolve(path));
  url.search = hash.slice(0, 8); // a process loads an address once, whatever becomes of the file
  const module = await import(url.href).catch((cause) => {
    throw new FileError(path, `cannot be loaded: ${(cause as Error).message}`, { cause });
  });
  const { default: rules, version } = module;
  if (typeof rules !== "function") {
    throw new ConfigError("rules", `${path} exports ${typeof rules} by default, expected a function`);
  }
  if (!["undefined", "string", "number"].includes(typeof version)) {
    throw new ConfigError("rules", `${path} exports ${typeof version} as version, expected text or a number`);
  }
  return { hash, rules, version };
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
