import { ModelError } from "../base/errors.js";

export type JsonObject = Readonly<Record<string, unknown>>;

/** Reads typed values out of a JSON object; a wrong one throws a ModelError that names the file and the key. */
export class Fields {
  constructor(
    private readonly place: string,
    private readonly object: JsonObject,
    private readonly prefix = "",
  ) {}

  has(key: string): boolean {
    return Object.hasOwn(this.object, key) && this.object[key] !== null;
  }

  integer(key: string, fallback?: number, least = 1): number {
    const value = this.read(key, fallback, least === 0 ? "a whole number from 0" : "a positive whole number");
    if (!Number.isSafeInteger(value) || (value as number) < least) {
      this.refuse(key, least === 0 ? "a whole number from 0" : "a positive whole number");
    }
    return value as number;
  }

  /** A finite number that is at least `least`, or greater when `above`. */
  number(key: string, fallback: number | undefined, bounds: { least: number } | { above: number }): number {
    const expected = "least" in bounds ? `a number from ${bounds.least}` : `a number above ${bounds.above}`;
    const value = this.read(key, fallback, expected);
    const isOk =
      typeof value === "number" &&
      Number.isFinite(value) &&
      ("least" in bounds ? value >= bounds.least : value > bounds.above);
    if (!isOk) this.refuse(key, expected);
    return value as number;
  }

  boolean(key: string, fallback: boolean): boolean {
    const value = this.read(key, fallback, "true or false");
    if (typeof value !== "boolean") this.refuse(key, "true or false");
    return value as boolean;
  }

  string(key: string, fallback?: string): string {
    const value = this.read(key, fallback, "a string");
    if (typeof value !== "string") this.refuse(key, "a string");
    return value as string;
  }

  /** An object, or undefined when it is absent, null or empty. */
  nested(key: string): JsonObject | undefined {
    const value = this.object[key];
    if (!this.has(key)) return undefined;
    if (typeof value !== "object" || Array.isArray(value)) this.refuse(key, "an object");
    return Object.keys(value as object).length === 0 ? undefined : (value as JsonObject);
  }

  value(key: string): unknown {
    return this.object[key] ?? undefined;
  }

  refuse(key: string, expected: string): never {
    const found = this.has(key) ? show(this.object[key]) : "absent";
    throw new ModelError(this.place, `${this.prefix}${key}: ${found}, expected ${expected}`);
  }

  private read(key: string, fallback: unknown, expected: string): unknown {
    if (this.has(key)) return this.object[key];
    if (fallback === undefined) this.refuse(key, expected);
    return fallback;
  }
}

/** A JSON value as it stands in the file, cut short when long. */
function show(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
