export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

const [WIDTH, HEIGHT] = [640, 240];
const MARGIN = { left: 64, right: 16, top: 28, bottom: 36 };
const COLOURS = ["#2563eb", "#dc2626", "#059669", "#9333ea"];

/** A line chart as an SVG element without line breaks, as Markdown takes it. Points that are not finite are left out. */
export function lineChart(title: string, xLabel: string, series: readonly Series[]): string {
  const drawn = series.map(({ name, points }) => ({
    name,
    points: points.filter((point) => point.every(Number.isFinite)),
  }));
  const all = drawn.flatMap(({ points }) => points);
  if (all.length === 0) return "";
  const x = scale(range(all.map(([value]) => value)), [MARGIN.left, WIDTH - MARGIN.right]);
  const ticks = niceTicks(range(all.map(([, value]) => value)));
  const y = scale([ticks[0]!, ticks.at(-1)!], [HEIGHT - MARGIN.bottom, MARGIN.top]);

  const text = (content: string, at: readonly [number, number], attributes = "") =>
    `<text x="${at[0].toFixed(1)}" y="${at[1].toFixed(1)}" ${attributes}>${escapeXml(content)}</text>`;
  const grid = ticks.flatMap((tick) => [
    `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${y(tick).toFixed(1)}" y2="${y(tick).toFixed(1)}" stroke="#d1d5db"/>`,
    text(String(tick), [MARGIN.left - 6, y(tick) + 4], 'text-anchor="end"'),
  ]);
  const [first, last] = range(all.map(([value]) => value));
  const axis = [
    text(String(first), [MARGIN.left, HEIGHT - MARGIN.bottom + 16]),
    text(String(last), [WIDTH - MARGIN.right, HEIGHT - MARGIN.bottom + 16], 'text-anchor="end"'),
    text(xLabel, [(MARGIN.left + WIDTH - MARGIN.right) / 2, HEIGHT - 6], 'text-anchor="middle"'),
    text(title, [MARGIN.left, 16], 'font-weight="bold"'),
  ];
  const lines = drawn.flatMap(({ name, points }, i) => {
    const path = points.map(([px, py]) => `${x(px).toFixed(1)},${y(py).toFixed(1)}`).join(" ");
    const colour = COLOURS[i % COLOURS.length]!;
    return [
      `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="1.5"/>`,
      text(name, [WIDTH - MARGIN.right - 150 * (drawn.length - 1 - i), 16], `fill="${colour}" text-anchor="end"`),
    ];
  });
  const style = 'font-family="sans-serif" font-size="12" style="background:#ffffff"';
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" ${style}>${[...grid, ...axis, ...lines].join("")}</svg>`;
}

const range = (values: readonly number[]): [number, number] => [
  values.reduce((a, b) => Math.min(a, b)),
  values.reduce((a, b) => Math.max(a, b)),
];

function scale(
  [from, to]: readonly [number, number],
  [low, high]: readonly [number, number],
): (value: number) => number {
  const span = to - from || 1;
  return (value) => low + ((value - from) / span) * (high - low);
}

/** Three to eight round numbers that enclose the range. */
export function niceTicks([from, to]: readonly [number, number]): number[] {
  const span = to - from || Math.abs(to) || 1;
  const power = 10 ** Math.floor(Math.log10(span / 4));
  const step = [1, 2, 5, 10].map((unit) => unit * power).find((unit) => span / unit <= 6)!;
  const first = Math.floor(from / step + 1e-9);
  const last = Math.max(Math.ceil(to / step - 1e-9), first + 1);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]!);
}
