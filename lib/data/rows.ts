/** Rows that are there when they are asked for: an array, or a file of which only the rows in use are in memory. */
export interface Rows<Row> {
  readonly length: number;
  at(index: number): Row | undefined;
}

/** Rows `first` to before `last`, as far as there are any. */
export function sliceRows<Row>(rows: Rows<Row>, first = 0, last = rows.length): Row[] {
  const count = Math.max(0, Math.min(last, rows.length) - first);
  return Array.from({ length: count }, (_, i) => rows.at(first + i)!);
}

/** Each row when its turn comes. */
export function* eachRow<Row>(rows: Rows<Row>): Generator<Row, void, void> {
  for (let i = 0; i < rows.length; i++) yield rows.at(i)!;
}

/** Rows made of others as they are asked for. */
export function mapRows<From, To>(rows: Rows<From>, make: (row: From, index: number) => To): Rows<To> {
  return {
    length: rows.length,
    at: (index) => (index >= 0 && index < rows.length ? make(rows.at(index)!, index) : undefined),
  };
}

/** The rows of both, one behind the other. */
export function joinRows<Row>(first: Rows<Row>, second: Rows<Row>): Rows<Row> {
  return {
    length: first.length + second.length,
    at: (index) => (index < first.length ? first.at(index) : second.at(index - first.length)),
  };
}

/** Rows `first` to before `last`. */
export function rangeOf<Row>(rows: Rows<Row>, first: number, last = rows.length): Rows<Row> {
  return {
    length: last - first,
    at: (index) => (index >= 0 && index < last - first ? rows.at(first + index) : undefined),
  };
}
