/** A Markdown table. Cells are shown as they are, but for what would end a cell or a row. */
export function markdownTable(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.map(showCell).join(" | ")} |`;
  return [line(header), `|${" --- |".repeat(header.length)}`, ...rows.map(line)].join("\n");
}

/** Columns aligned for a terminal: text to the left, numbers to the right. */
export function textTable(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = [header, ...rows].map((row) => row.map((cell) => String(cell)));
  const widths = header.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  const isNumeric = header.map((_, column) => rows.every((row) => /^[-+]?[\d.,]+ ?%?$|^-?$/.test(String(row[column]))));
  const pad = (cell: string, column: number) =>
    isNumeric[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!);
  return cells.map((row) => row.map(pad).join("  ").trimEnd()).join("\n");
}

function showCell(cell: string | number): string {
  return String(cell).replaceAll("|", "\\|").replace(/\r?\n/g, "<br>");
}
