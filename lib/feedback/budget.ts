import { BudgetError } from "../base/errors.js";
import { untilAborted } from "./clock.js";

/** Tokens of a request, or of many. */
export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** Per million tokens, in any currency. */
export interface Price {
  readonly input: number;
  readonly output: number;
}

/** What may be spent in all. */
export interface BudgetLimits {
  readonly tokens?: number | undefined;
  readonly cost?: number | undefined;
}

/** What a model has spent. */
export interface Spent extends Usage {
  readonly cost: number;
}

/** Counts what one model spends of a budget. */
export interface Tally {
  readonly spent: Spent;
  /** Counts what was spent before. */
  count(usage: Usage): void;
  /**
   * Sets aside what a request may take at most. While others run that may leave enough of what was set aside for them, it
   * waits. Throws BudgetError when the budget could be exceeded all the same, then and for every later request;
   * AbortedError with the signal.
   */
  reserve(most: Usage, signal?: AbortSignal): Promise<Reservation>;
}

/** What was set aside; one of these is to be called, once. */
export interface Reservation {
  /** The request took this. */
  settle(usage: Usage): void;
  /** It took nothing. */
  release(): void;
  /** It may have been charged, but its answer did not come: it counts as having taken all. */
  lose(): void;
}

/** What is spent and set aside by all models, held to limits. */
export class Budget {
  private readonly spent = { tokens: 0, cost: 0 };
  private readonly reserved = { tokens: 0, cost: 0, requests: 0 };
  private readonly waiting: Waiting[] = [];
  private exhausted: BudgetError | undefined;

  /** Without limits it counts. */
  constructor(private readonly limits: BudgetLimits = {}) {}

  /** The tally of a model, which costs nothing without a price. `onLost` is told what `Reservation.lose` counted. */
  tally(price: Price = { input: 0, output: 0 }, onLost: (usage: Usage) => void = () => undefined): Tally {
    const own = { promptTokens: 0, completionTokens: 0, cost: 0 };
    const spend = (usage: Usage): void => {
      const { tokens, cost } = amountOf(usage, price);
      own.promptTokens += usage.promptTokens;
      own.completionTokens += usage.completionTokens;
      own.cost += cost;
      this.spent.tokens += tokens;
      this.spent.cost += cost;
    };
    return {
      spent: own,
      count: spend,
      reserve: async (most, signal) => {
        const amount = amountOf(most, price);
        await untilAborted<void>(signal, (go, refuse) => {
          const one = { amount, go, refuse };
          this.waiting.push(one);
          this.advance();
          return () => {
            const at = this.waiting.indexOf(one);
            if (at >= 0) this.waiting.splice(at, 1);
            this.advance();
          };
        });
        const end = (usage: Usage): void => {
          spend(usage);
          this.free(amount);
        };
        return {
          settle: end,
          release: () => this.free(amount),
          lose: () => {
            onLost(most);
            end(most);
          },
        };
      },
    };
  }

  private advance(): void {
    while (this.waiting.length > 0) {
      const { amount, go, refuse } = this.waiting[0]!;
      this.exhausted ??= this.problemOf(amount);
      if (this.exhausted === undefined && !this.fits(amount, this.reserved)) return;
      this.waiting.shift();
      if (this.exhausted !== undefined) {
        refuse(this.exhausted);
        continue;
      }
      this.reserved.tokens += amount.tokens;
      this.reserved.cost += amount.cost;
      this.reserved.requests++;
      go();
    }
  }

  private fits(amount: Amount, besides: Amount = { tokens: 0, cost: 0 }): boolean {
    const { tokens = Number.POSITIVE_INFINITY, cost = Number.POSITIVE_INFINITY } = this.limits;
    const isWithin = this.spent.tokens + besides.tokens + amount.tokens <= tokens;
    return isWithin && this.spent.cost + besides.cost + amount.cost <= cost;
  }

  /** Why a request can never be asked, if so. */
  private problemOf(amount: Amount): BudgetError | undefined {
    if (this.fits(amount)) return undefined;
    const { tokens, cost } = this.limits;
    const isTokens = tokens !== undefined && this.spent.tokens + amount.tokens > tokens;
    const show = (of: Amount): string => (isTokens ? of.tokens.toLocaleString("en-US") : of.cost.toFixed(4));
    const limit = isTokens ? `${show({ tokens, cost: 0 })} tokens` : `a cost of ${cost}`;
    return new BudgetError(`${limit}, of which ${show(this.spent)} is spent; the next answer may take ${show(amount)}`);
  }

  private free(amount: Amount): void {
    this.reserved.requests--;
    const isLast = this.reserved.requests === 0; // sums of parts of a cent may not come back to 0
    this.reserved.tokens = isLast ? 0 : this.reserved.tokens - amount.tokens;
    this.reserved.cost = isLast ? 0 : this.reserved.cost - amount.cost;
    this.advance();
  }
}

interface Amount {
  readonly tokens: number;
  readonly cost: number;
}

interface Waiting {
  readonly amount: Amount;
  readonly go: () => void;
  readonly refuse: (error: BudgetError) => void;
}

const amountOf = ({ promptTokens, completionTokens }: Usage, price: Price): Amount => ({
  tokens: promptTokens + completionTokens,
  cost: (promptTokens * price.input + completionTokens * price.output) / 1e6,
});
