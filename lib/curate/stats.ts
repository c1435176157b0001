import type { Tokenizer } from "../text/tokenizer.js";
import { Distribution, type DistributionSummary } from "./distribution.js";
import { ExactDuplicates } from "./exact_duplicates.js";
import { normalise } from "./normalise.js";
import type { RowFacts, RowKind } from "./row_facts.js";
import { hashText } from "./text_hash.js";
import { Words } from "./words.js";

const UNITS = ["characters", "words", "tokens"] as const;
export type LengthUnit = (typeof UNITS)[number];

/** What rows hold. */
export interface DataStats {
  readonly rows: number;
  /** Rows that cannot be read; they count in nothing else. */
  readonly broken: number;
  readonly kinds: Readonly<Partial<Record<RowKind, number>>>;
  readonly sources: Readonly<Record<string, number>>;
  /** Messages by who speaks. */
  readonly roles: Readonly<Record<string, number>>;
  /** Messages of a dialogue, or of a pair's prompt and one answer. */
  readonly turns: DistributionSummary;
  /** Rows whose prompt an earlier row has, but for case and white space. */
  readonly repeatedPrompts: number;
  /** How long whole rows are and their parts (prompt, answer, chosen, ...); tokens where there is a tokenizer. */
  readonly lengths: Readonly<Record<string, Readonly<Partial<Record<LengthUnit, DistributionSummary>>>>>;
}

/** Counts what rows hold, one after the other. */
export class StatsTally {
  private rows = 0;
  private broken = 0;
  private repeated = 0;
  private readonly kinds = new Map<RowKind, number>();
  private readonly sources = new Map<string, number>();
  private readonly roles = new Map<string, number>();
  private readonly turns = new Distribution();
  private readonly lengths = new Map<string, Record<LengthUnit, Distribution>>();
  private readonly prompts = new ExactDuplicates();
  private readonly words = new Words();

  constructor(private readonly tokenizer?: Tokenizer) {}

  addBroken(): void {
    this.rows++;
    this.broken++;
  }

  add({ kind, source, roles, prompt, parts }: RowFacts): void {
    const row = this.rows++;
    count(this.kinds, kind);
    count(this.sources, source ?? "none");
    for (const role of roles) count(this.roles, role);
    if (roles.length > 0) this.turns.add(roles.length);
    if (prompt !== "") {
      const { key } = hashText(normalise(prompt));
      if (this.prompts.find(key) !== undefined) this.repeated++;
      else this.prompts.add(key, row);
    }
    const whole = { characters: 0, words: 0, tokens: 0 };
    for (const [part, texts] of Object.entries(parts)) {
      for (const text of texts) {
        const length = this.measure(text);
        for (const unit of UNITS) whole[unit] += length[unit];
        this.addLength(part, length);
      }
    }
    this.addLength("row", whole);
  }

  private measure(text: string): Record<LengthUnit, number> {
    const tokens = this.tokenizer?.encode(text).length ?? 0;
    return { characters: text.length, words: this.words.read(text).count, tokens };
  }

  private addLength(part: string, length: Record<LengthUnit, number>): void {
    let distributions = this.lengths.get(part);
    if (distributions === undefined) {
      distributions = { characters: new Distribution(), words: new Distribution(), tokens: new Distribution() };
      this.lengths.set(part, distributions);
    }
    for (const unit of UNITS) distributions[unit].add(length[unit]);
  }

  stats(): DataStats {
    const units = UNITS.filter((unit) => unit !== "tokens" || this.tokenizer !== undefined);
    const lengths = [...this.lengths].map(([part, distributions]) => {
      return [part, Object.fromEntries(units.map((unit) => [unit, distributions[unit].summary()]))] as const;
    });
    return {
      ...{ rows: this.rows, broken: this.broken, kinds: Object.fromEntries(this.kinds) },
      ...{ sources: byCount(this.sources), roles: byCount(this.roles), turns: this.turns.summary() },
      ...{ repeatedPrompts: this.repeated, lengths: Object.fromEntries(lengths) },
    };
  }
}

function count<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

const byCount = (counts: ReadonlyMap<string, number>): Record<string, number> =>
  Object.fromEntries([...counts].sort(([, a], [, b]) => b - a));
