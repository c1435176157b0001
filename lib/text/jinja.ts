import { Environment, Interpreter, parse, tokenize } from "@huggingface/jinja";
import { TemplateError } from "./template_error.js";

export type Program = ReturnType<typeof parse>;

/** Parses a template as transformers does: trim_blocks and lstrip_blocks. */
export function parseJinja(source: string): Program {
  return parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
}

/** Runs a template with transformers' globals, which are more than the library's own: see strftime. */
export function renderJinja(program: Program, values: Readonly<Record<string, unknown>>): string {
  const environment = new Environment();
  for (const [name, value] of Object.entries({ ...GLOBALS, ...values })) environment.set(name, value);
  return String(new Interpreter(environment).run(program).value);
}

const GLOBALS = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  range,
  strftime_now: (format: unknown) => strftime(String(format), new Date()),
  raise_exception: (message: unknown) => {
    throw new TemplateError(String(message));
  },
};

function range(start: number, stop?: number, step = 1): number[] {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  return Array.from({ length: Math.max(0, Math.ceil((to - from) / step)) }, (_, i) => from + i * step);
}

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = "January February March April May June July August September October November December".split(" ");

/** Python's `date.strftime(format)` in the C locale, for the directives templates use; others stay as they are. */
export function strftime(format: string, date: Date): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const startOfYear = Date.UTC(date.getFullYear(), 0, 0);
  const today = Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
  const values: Record<string, () => string> = {
    "%": () => "%",
    Y: () => String(date.getFullYear()),
    y: () => two(date.getFullYear() % 100),
    m: () => two(date.getMonth() + 1),
    d: () => two(date.getDate()),
    e: () => String(date.getDate()).padStart(2, " "),
    j: () => String(Math.round((today - startOfYear) / 86_400_000)).padStart(3, "0"),
    H: () => two(date.getHours()),
    I: () => two(date.getHours() % 12 || 12),
    M: () => two(date.getMinutes()),
    S: () => two(date.getSeconds()),
    p: () => (date.getHours() < 12 ? "AM" : "PM"),
    A: () => DAYS[date.getDay()]!,
    a: () => DAYS[date.getDay()]!.slice(0, 3),
    B: () => MONTHS[date.getMonth()]!,
    b: () => MONTHS[date.getMonth()]!.slice(0, 3),
    F: () => strftime("%Y-%m-%d", date),
    T: () => strftime("%H:%M:%S", date),
  };
  return format.replace(/%([%a-zA-Z])/g, (directive, letter: string) => values[letter]?.() ?? directive);
}
