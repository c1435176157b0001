/** A line of a chart; a dashed one is what theory says. */
export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly dashed?: boolean;
}

/** Bars one below the other; the mark is what each is to reach. */
export interface Bar {
  readonly name: string;
  readonly value: number;
  readonly mark: number;
  readonly label: string;
}

const STYLE = 'font-family="sans-serif" font-size="12" style="background:#ffffff"';
const BLUE = "#2563eb";
const RED = "#dc2626";

const escapeXml = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const textAt = (x: number, y: number, content: string, attributes = "") =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${attributes}>${escapeXml(content)}</text>`;
const svg = (title: string, width: number, height: number, parts: readonly string[]) =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" ${STYLE}>\n<title>${escapeXml(title)}</title>\n${parts.join("\n")}\n</svg>\n`;

/** Lines over two logarithmic axes: a power is a straight line, its exponent the slope. */
export function logChart(title: string, xLabel: string, yLabel: string, lines: readonly Line[]): string {
  const [width, height] = [480, 300];
  const box = { left: 64, right: 16, top: 48, bottom: 44 };
  const all = lines.flatMap(({ points }) => points);
  const axis = (values: readonly number[], low: number, high: number) => {
    const [from, to] = [Math.min(...values), Math.max(...values)].map(Math.log) as [number, number];
    return (value: number) => low + ((Math.log(value) - from) / (to - from || 1)) * (high - low);
  };
  const ys = all.map(([, y]) => y);
  const x = axis(
    all.map(([value]) => value),
    box.left,
    width - box.right,
  );
  const [bottom, top] = [10 ** Math.floor(Math.log10(Math.min(...ys))), 10 ** Math.ceil(Math.log10(Math.max(...ys)))];
  const y = axis([bottom, top], height - box.bottom, box.top);
  const parts = [textAt(box.left, 18, title, 'font-weight="bold"')];
  for (let tick = bottom; tick <= top * 1.001; tick *= 10) {
    const at = y(tick).toFixed(1);
    parts.push(`<line x1="${box.left}" x2="${width - box.right}" y1="${at}" y2="${at}" stroke="#d1d5db"/>`);
    parts.push(textAt(box.left - 6, y(tick) + 4, short(tick), 'text-anchor="end"'));
  }
  for (const value of new Set(lines[0]!.points.map(([at]) => at))) {
    parts.push(textAt(x(value), height - box.bottom + 16, short(value), 'text-anchor="middle"'));
  }
  parts.push(textAt((box.left + width - box.right) / 2, height - 8, xLabel, 'text-anchor="middle"'));
  parts.push(textAt(box.left, 36, yLabel, 'fill="#6b7280"'));
  lines.forEach(({ name, points, dashed }, i) => {
    const colour = dashed ? "#6b7280" : [BLUE, RED][i % 2]!;
    const path = points.map(([px, py]) => `${x(px).toFixed(1)},${y(py).toFixed(1)}`).join(" ");
    parts.push(
      `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="1.5"${dashed ? ' stroke-dasharray="5 4"' : ""}/>`,
    );
    if (!dashed)
      parts.push(
        ...points.map(
          ([px, py]) => `<circle cx="${x(px).toFixed(1)}" cy="${y(py).toFixed(1)}" r="2.5" fill="${colour}"/>`,
        ),
      );
    parts.push(
      textAt(width - box.right - 110 * (lines.length - 1 - i), 36, name, `fill="${colour}" text-anchor="end"`),
    );
  });
  return svg(title, width, height, parts);
}

export function barChart(title: string, bars: readonly Bar[]): string {
  const [width, row, left, right] = [880, 24, 500, 110];
  const most = Math.max(...bars.map(({ value, mark }) => Math.max(value, mark)));
  const x = (value: number) => left + (value / most) * (width - left - right);
  const parts = [textAt(8, 18, title, 'font-weight="bold"')];
  bars.forEach(({ name, value, mark, label }, i) => {
    const y = 32 + i * row;
    parts.push(textAt(left - 8, y + 13, name, 'text-anchor="end"'));
    parts.push(`<rect x="${left}" y="${y}" width="${(x(value) - left).toFixed(1)}" height="16" fill="${BLUE}"/>`);
    parts.push(
      `<line x1="${x(mark).toFixed(1)}" x2="${x(mark).toFixed(1)}" y1="${y - 2}" y2="${y + 18}" stroke="${RED}" stroke-width="2"/>`,
    );
    parts.push(textAt(Math.max(x(value), x(mark)) + 6, y + 13, label));
  });
  return svg(title, width, 40 + bars.length * row, parts);
}

/** 1500 as "1.5k". */
function short(value: number): string {
  const units: readonly (readonly [number, string])[] = [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ];
  const [size, unit] = units.find(([size]) => value >= size) ?? [1, ""];
  return `${Number((value / size).toPrecision(2))}${unit}`;
}
