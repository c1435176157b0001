import type { SchemaElement } from "hyparquet";
import { DataError, type RowPlace } from "../base/errors.js";

/**
 * The type of the values of a column, as far as they are seen. `nothing`: all were null so far. Everything may be null in
 * a row; a field that a row lacks is.
 */
export type ValueType =
  | { readonly kind: "nothing" | "boolean" | "integer" | "number" | "text" }
  | { readonly kind: "list"; element: ValueType }
  | { readonly kind: "object"; readonly fields: Map<string, ValueType> };

export type RowType = Extract<ValueType, { kind: "object" }>;

const NAMES: Record<ValueType["kind"], string> = {
  nothing: "null",
  boolean: "true or false",
  integer: "a number",
  number: "a number",
  text: "text",
  list: "a list",
  object: "an object",
};

/** The type of a JSON value and of all before it. Throws DataError where they are of different kinds. */
export function widen(before: ValueType, value: unknown, place: RowPlace, field: string): ValueType {
  const kind = kindOf(value);
  if (kind === "nothing") return before;
  if (before.kind === "nothing") {
    const first: ValueType =
      kind === "list"
        ? { kind, element: { kind: "nothing" } }
        : kind === "object"
          ? { kind, fields: new Map() }
          : { kind };
    return kind === "list" || kind === "object" ? widen(first, value, place, field) : first;
  }
  if (before.kind === "number" && kind === "integer") return before;
  if (before.kind === "integer" && kind === "number") return { kind };
  if (before.kind !== kind) {
    const found = `${NAMES[kind]}, expected ${NAMES[before.kind]} as in the rows before`;
    throw new DataError(place, `${field}: ${found}; a column of a .parquet file has one type`);
  }
  if (before.kind === "list") {
    for (const [i, each] of (value as unknown[]).entries()) {
      before.element = widen(before.element, each, place, `${field}[${i}]`);
    }
  } else if (before.kind === "object") {
    for (const [name, each] of Object.entries(value as object)) {
      const path = field === "" ? name : `${field}.${name}`;
      before.fields.set(name, widen(before.fields.get(name) ?? { kind: "nothing" }, each, place, path));
    }
  }
  return before;
}

function kindOf(value: unknown): ValueType["kind"] {
  if (value == null) return "nothing";
  if (typeof value === "boolean") return "boolean";
  if (typeof value === "string") return "text";
  if (typeof value === "number") return Number.isSafeInteger(value) ? "integer" : "number";
  return Array.isArray(value) ? "list" : "object";
}

/** A path to an object that no row gives a field, which Parquet has no type for. */
export function findEmpty(type: ValueType, field: string): string | undefined {
  if (type.kind === "list") return findEmpty(type.element, `${field}[]`);
  if (type.kind !== "object") return undefined;
  if (type.fields.size === 0) return field;
  for (const [name, each] of type.fields) {
    const found = findEmpty(each, field === "" ? name : `${field}.${name}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The type of rows as Parquet's schema, root first; what was always null is text. */
export function schemaOf(rows: RowType): SchemaElement[] {
  return [{ name: "root", num_children: rows.fields.size }, ...elementsOfFields(rows.fields)];
}

const elementsOfFields = (fields: ReadonlyMap<string, ValueType>): SchemaElement[] =>
  [...fields].flatMap(([name, type]) => elementsOf(name, type));

function elementsOf(name: string, type: ValueType): SchemaElement[] {
  const own = { name, repetition_type: "OPTIONAL" } as const;
  switch (type.kind) {
    case "boolean":
      return [{ ...own, type: "BOOLEAN" }];
    case "integer":
      return [{ ...own, type: "INT64" }];
    case "number":
      return [{ ...own, type: "DOUBLE" }];
    case "nothing":
    case "text":
      return [{ ...own, type: "BYTE_ARRAY", converted_type: "UTF8", logical_type: { type: "STRING" } }];
    case "list": {
      const list = { ...own, converted_type: "LIST", logical_type: { type: "LIST" }, num_children: 1 } as const;
      const repeated = { name: "list", repetition_type: "REPEATED", num_children: 1 } as const;
      return [list, repeated, ...elementsOf("element", type.element)];
    }
    case "object":
      return [{ ...own, num_children: type.fields.size }, ...elementsOfFields(type.fields)];
  }
}

/** A value as the writer takes it: integers as such. */
export function toStored(value: unknown, type: ValueType): unknown {
  if (value == null) return null;
  if (type.kind === "integer") return BigInt(value as number);
  if (type.kind === "list") return (value as unknown[]).map((each) => toStored(each, type.element));
  if (type.kind !== "object") return value;
  const stored: Record<string, unknown> = {};
  for (const [name, each] of type.fields) stored[name] = toStored((value as Record<string, unknown>)[name], each);
  return stored;
}
