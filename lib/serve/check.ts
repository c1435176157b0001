import type { z } from "zod";
import { isObject } from "../base/json.js";
import { type ApiError, badRequest } from "./api_error.js";

/** An object's entries that are not null: in OpenAI's API null is as good as nothing. */
export const withoutNulls = (value: unknown): unknown =>
  isObject(value) ? Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== null)) : value;

/**
 * A request's body by its schema. Throws ApiError with status 400 for the first entry that is wrong, unknown, or known to
 * OpenAI's API and not supported here.
 */
export function checkBody<T>(schema: z.ZodType<T>, body: unknown, unsupported: ReadonlySet<string>): T {
  if (!isObject(body)) throw badRequest(`The body is ${kindOf(body)}, expected an object.`);
  const given = withoutNulls(body) as Record<string, unknown>;
  const foreign = Object.keys(given).find((key) => unsupported.has(key));
  if (foreign !== undefined)
    throw badRequest(`'${foreign}' is not supported by this server.`, foreign, "unsupported_parameter");
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  throw toError(parsed.error.issues[0]!, given);
}

function toError(issue: z.core.$ZodIssue, body: unknown): ApiError {
  if (issue.code === "unrecognized_keys") {
    const name = showPath([...issue.path, issue.keys[0]!]);
    return badRequest(`Unrecognized request argument supplied: ${name}`, name, "unknown_parameter");
  }
  const name = showPath(issue.path);
  const value = issue.path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown>)?.[key], body);
  if (value === undefined || value === null)
    return badRequest(`Missing required parameter: '${name}'.`, name, "missing_required_parameter");
  const code = issue.code === "invalid_type" ? "invalid_type" : "invalid_value";
  return badRequest(`Invalid value for '${name}': ${kindOf(value)}, ${expectation(issue.message)}.`, name, code);
}

/** "Too big: expected number to be <=2" without what goes before and after the expectation. */
const expectation = (message: string): string => message.replace(/^[^:]*: (?=expected)|, received .*$/g, "");

/** `messages[0].content` */
const showPath = (path: readonly PropertyKey[]): string =>
  path.map((key, at) => (typeof key === "number" ? `[${key}]` : at === 0 ? String(key) : `.${String(key)}`)).join("");

/** What was found, without the text of a prompt. */
function kindOf(value: unknown): string {
  if (typeof value === "number" || typeof value === "boolean" || value === null) return String(value);
  if (Array.isArray(value)) return `an array of ${value.length}`;
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
