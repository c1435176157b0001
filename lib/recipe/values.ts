import { z } from "zod";

/** What a value has to be, in words: said by errors ("expected ...") and by docs/recipes.md. */
const PHRASES = z.registry<{ phrase: string }>();

function phrased<Schema extends z.ZodType>(schema: Schema, phrase: string): Schema {
  PHRASES.add(schema, { phrase });
  return schema;
}

// The handbook reads its files as YAML 1.1, which also knows these words.
const WORDS: Record<string, boolean> = { true: true, yes: true, on: true, false: false, no: false, off: false };
export const asFlag = (value: unknown): unknown =>
  typeof value === "string" ? (WORDS[value.toLowerCase()] ?? value) : value;

export const flag = () => phrased(z.preprocess(asFlag, z.boolean()), "true or false");

export const text = (phrase = "text") => phrased(z.string().min(1), phrase);

export const integer = (least: number) =>
  phrased(z.int().min(least), least === 1 ? "a positive integer" : `an integer >= ${least}`);

export interface Range {
  readonly above?: number;
  readonly atLeast?: number;
  readonly below?: number;
  readonly atMost?: number;
}

export function real(range: Range = {}) {
  const { above = -Infinity, atLeast = -Infinity, below = Infinity, atMost = Infinity } = range;
  const bounds = [
    ...(range.above === undefined ? [] : [`> ${above}`]),
    ...(range.atLeast === undefined ? [] : [`>= ${atLeast}`]),
    ...(range.below === undefined ? [] : [`< ${below}`]),
    ...(range.atMost === undefined ? [] : [`<= ${atMost}`]),
  ];
  const isInside = (x: number) => x > above && x >= atLeast && x < below && x <= atMost;
  return phrased(z.number().refine(isInside), bounds.length > 0 ? `a number ${bounds.join(" and ")}` : "a number");
}

/** Every so many steps, or, below 1, that share of the run's steps. */
export const steps = () =>
  phrased(
    z.number().refine((x) => (x > 0 && x < 1) || (x >= 1 && Number.isSafeInteger(x))),
    "a positive integer, or a share of the steps between 0 and 1",
  );

/** One of `names`, or of the older spellings in `aliases`, which become the name they map to. */
export function oneOf<const Name extends string>(names: readonly Name[], aliases: Readonly<Record<string, Name>> = {}) {
  const rename = (value: unknown): unknown =>
    typeof value === "string" && Object.hasOwn(aliases, value) ? aliases[value] : value;
  return phrased(z.preprocess(rename, z.enum(names)), `one of ${names.join(", ")}`);
}

/** "no" and its relatives: a YAML 1.1 reader makes `false` of a bare `no`. */
export function strategy<const Name extends string>(names: readonly Name[]) {
  return phrased(
    z.preprocess((value) => (value === false ? "no" : value), z.enum(names)),
    `one of ${names.join(", ")}`,
  );
}

const asList = (value: unknown): unknown => (typeof value === "string" ? [value] : value);

export const texts = () => phrased(z.preprocess(asList, z.array(text()).min(1)), "a list of texts");

export const oneOrMoreOf = <const Name extends string>(names: readonly Name[]) =>
  phrased(z.preprocess(asList, z.array(oneOf(names)).min(1)), `one of ${names.join(", ")}, or a list of them`);

export const flagOrText = (what: string) =>
  phrased(z.union([z.preprocess(asFlag, z.boolean()), z.string().min(1)]), `true, false or ${what}`);

/** For keys that are only looked at to say that they do nothing here. */
export const anything = () => phrased(z.unknown(), "anything");

export const described = phrased;

/** A mapping that may also be left empty. */
export const settings = <Schema extends z.ZodObject>(schema: Schema, phrase: string) =>
  phrased(
    z.preprocess((value) => value ?? {}, schema),
    phrase,
  );

/** The schema inside defaults, nullables and conversions. */
export function innermost(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodNullable) return innermost(schema.unwrap() as z.ZodType);
  return schema instanceof z.ZodPipe ? innermost(schema.out as z.ZodType) : schema;
}

export function phraseOf(schema: z.ZodType): string {
  if (schema instanceof z.ZodNullable) return `${phraseOf(schema.unwrap() as z.ZodType)}, or null`;
  if (schema instanceof z.ZodDefault) return phraseOf(schema.unwrap() as z.ZodType);
  const phrase = PHRASES.get(schema)?.phrase;
  if (phrase !== undefined) return phrase;
  if (schema instanceof z.ZodObject) return `a mapping with ${Object.keys(schema.shape).join(", ")}`;
  return schema instanceof z.ZodArray ? "a list" : "another type";
}

/** The schema of one entry of a mapping or list. */
export function entryOf(schema: z.ZodType, name: string): z.ZodType | undefined {
  const inner = innermost(schema);
  if (inner instanceof z.ZodObject) return Object.hasOwn(inner.shape, name) ? inner.shape[name] : undefined;
  if (inner instanceof z.ZodRecord) return inner.valueType as z.ZodType;
  return inner instanceof z.ZodArray && /^\d+$/.test(name) ? (inner.element as z.ZodType) : undefined;
}

/** The words a value may be, when it is one of a few. */
export function choicesOf(schema: z.ZodType): readonly string[] {
  const inner = innermost(schema);
  if (inner instanceof z.ZodEnum) return inner.options.map(String);
  return inner instanceof z.ZodArray ? choicesOf(inner.element as z.ZodType) : [];
}

/** Whether a command line's value is this entry's text as it stands, whatever YAML would make of it. */
export function isText(schema: z.ZodType): boolean {
  const inner = innermost(schema);
  return (
    inner instanceof z.ZodString || (inner instanceof z.ZodUnion && inner.options.some((o) => isText(o as z.ZodType)))
  );
}
