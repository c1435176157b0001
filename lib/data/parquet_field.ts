import type { FileHandle } from "node:fs/promises";
import type { RowGroup, SchemaTree } from "hyparquet";
import { assembleNested } from "hyparquet/src/assemble.js";
import { FileError } from "../base/errors.js";
import { ParquetColumn } from "./parquet_column.js";
import { PARSERS } from "./parquet_values.js";

/** A field of the rows of one row group, put together from the leaf columns it consists of. */
export class ParquetField {
  private readonly columns: readonly { readonly path: string; readonly column: ParquetColumn }[];

  /** Throws FileError, as `take` does, with the row group and column. */
  constructor(
    private readonly source: string,
    private readonly group: number,
    file: FileHandle,
    tree: SchemaTree,
    { columns }: RowGroup,
    private readonly schema: SchemaTree,
  ) {
    const own = columns.filter(({ meta_data }) => meta_data?.path_in_schema[0] === schema.element.name);
    if (own.length === 0) throw this.fault("has no data that is read");
    try {
      this.columns = own.map(({ meta_data }) => {
        return { path: meta_data!.path_in_schema.join("."), column: new ParquetColumn(file, tree, meta_data!) };
      });
    } catch (error) {
      throw this.fault((error as Error).message, error);
    }
  }

  /** The values of the next rows. */
  async take(count: number): Promise<readonly unknown[]> {
    try {
      const leaves = new Map<string, unknown[]>();
      for (const { path, column } of this.columns) leaves.set(path, await column.take(count));
      if (this.schema.children.length > 0) assembleNested(leaves, this.schema, PARSERS);
      return leaves.get(this.schema.element.name)!;
    } catch (error) {
      throw this.fault((error as Error).message, error);
    }
  }

  private fault(what: string, cause?: unknown): FileError {
    const place = `row group ${this.group + 1}, column ${this.schema.element.name}`;
    return new FileError(this.source, `${place}: ${what}`, { cause });
  }
}
