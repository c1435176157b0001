import { type RowPlace, showPlace } from "../base/errors.js";
import type { ChangedRow, KeptRow } from "./curation.js";
import { Distribution, type DistributionSummary } from "./distribution.js";
import { CHANGES, type Change, DROP_STEPS, type Drop, type DropReason, type DropStep } from "./drops.js";
import type { PrepareSettings } from "./options.js";

/** A row as the report shows it. */
export interface ShownRow {
  /** `file:line`. */
  readonly row: string;
  /** How its prompt begins; of a change what it was. */
  readonly text?: string;
  /** What was found; of a change what it is now. */
  readonly detail?: string;
}

/** What became of the rows: read = kept + the sum of all that is dropped. */
export interface PrepareReport {
  readonly inputs: readonly string[];
  readonly options: PrepareSettings;
  readonly read: number;
  readonly kept: number;
  /** Rows of each file that was written. */
  readonly splits: Readonly<Record<string, number>>;
  /** The steps that were taken, in their order, with the rows that came to them. */
  readonly steps: readonly {
    readonly step: DropStep;
    readonly rows: number;
    readonly dropped: Readonly<Partial<Record<DropReason, number>>>;
  }[];
  /** Rows that were changed, whatever became of them later, and their share of those that were looked at. */
  readonly changed: Readonly<Record<Change, { readonly rows: number; readonly share: number }>>;
  /** Of the rows that are kept, in turns and so on a dialogue; tokens where there is a tokenizer. */
  readonly lengths: Readonly<Partial<Record<Length, DistributionSummary>>>;
  /** Kept rows by source. */
  readonly sources: Readonly<Record<string, number>>;
  readonly examples: Readonly<Partial<Record<DropReason | Change, readonly ShownRow[]>>>;
}

const LENGTHS = ["turns", "characters", "words", "tokens"] as const;
type Length = (typeof LENGTHS)[number];

/** Counts what becomes of rows, and keeps the first few of each kind to show. */
export class PrepareTally {
  read = 0;
  kept = 0;
  private readonly splits = { train: 0, test: 0 };
  private readonly counts = new Map<DropReason | Change, number>();
  private readonly shown = new Map<DropReason | Change, ShownRow[]>();
  private readonly lengths = new Map<Length, Distribution>();
  private readonly sources = new Map<string, number>();

  constructor(private readonly settings: PrepareSettings) {}

  keep(row: KeptRow): void {
    this.kept++;
    this.splits[row.isTest ? "test" : "train"]++;
    for (const name of LENGTHS) {
      if (row[name] === undefined) continue;
      const lengths = this.lengths.get(name) ?? new Distribution();
      lengths.add(row[name]);
      this.lengths.set(name, lengths);
    }
    const source = row.source ?? "none";
    this.sources.set(source, (this.sources.get(source) ?? 0) + 1);
  }

  drop(drop: Drop & Pick<ShownRow, "text">, place: RowPlace): void {
    this.count(drop.reason, drop, place);
  }

  change(change: ChangedRow, place: RowPlace): void {
    this.count(change.change, change, place);
  }

  /** Whether the next row of this kind is shown. */
  wants(kind: DropReason | Change): boolean {
    return (this.shown.get(kind)?.length ?? 0) < this.settings.examples;
  }

  private count(kind: DropReason | Change, { text, detail }: Omit<ShownRow, "row">, place: RowPlace): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    if (!this.wants(kind)) return;
    const shown = this.shown.get(kind) ?? [];
    shown.push({ row: showPlace(place), ...(text !== undefined && { text }), ...(detail !== undefined && { detail }) });
    this.shown.set(kind, shown);
  }

  report(inputs: readonly string[]): PrepareReport {
    const { settings, read, kept } = this;
    const { trainName, testName, testShare } = settings;
    const countOf = (kind: DropReason | Change): number => this.counts.get(kind) ?? 0;
    const steps: PrepareReport["steps"][number][] = [];
    let rows = read;
    for (const [step, reasons] of Object.entries(DROP_STEPS) as [DropStep, object][]) {
      const dropped = (Object.keys(reasons) as DropReason[]).map((reason) => [reason, countOf(reason)] as const);
      if (isTaken(settings, step)) steps.push({ step, rows, dropped: Object.fromEntries(dropped) });
      rows -= dropped.reduce((sum, [, count]) => sum + count, 0);
    }
    const dialogues = steps[1]?.rows ?? rows;
    const changed = (Object.keys(CHANGES) as Change[]).map((change) => {
      return [change, { rows: countOf(change), share: dialogues === 0 ? 0 : countOf(change) / dialogues }] as const;
    });
    return {
      ...{ inputs, options: settings, read, kept },
      splits: { [trainName]: this.splits.train, ...(testShare > 0 && { [testName]: this.splits.test }) },
      steps,
      changed: Object.fromEntries(changed) as PrepareReport["changed"],
      lengths: Object.fromEntries([...this.lengths].map(([name, each]) => [name, each.summary()])),
      sources: Object.fromEntries([...this.sources].sort(([, a], [, b]) => b - a)),
      examples: Object.fromEntries(this.shown),
    };
  }
}

function isTaken(settings: PrepareSettings, step: DropStep): boolean {
  if (step === "refusals") return settings.refusals || settings.refusalPhrases !== undefined;
  if (step === "decontamination") return settings.decontaminate.length > 0;
  return step === "shape" || settings[step] !== "off";
}
