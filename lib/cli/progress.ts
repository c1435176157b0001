import { showDuration, showNumber } from "../index.js";

/** Where progress is shown: people's lines go to stderr, data to stdout. */
export interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** A line that is drawn over on a terminal, and plain lines, fewer of them, anywhere else. */
export class Progress {
  private drawn = "";

  constructor(private readonly terminal: Terminal = process.stderr) {}

  /** A line that stays. */
  say(line: string): void {
    this.clear();
    this.terminal.write(`${line}\n`);
  }

  /** A line that the next one takes the place of; shown on terminals only. */
  update(line: string): void {
    if (!this.terminal.isTTY) return;
    const shown = line.slice(0, (this.terminal.columns || 80) - 1); // some terminals say that they have none
    this.terminal.write(`\r${shown.padEnd(this.drawn.length)}`);
    this.drawn = shown;
  }

  clear(): void {
    if (this.drawn !== "") this.terminal.write(`\r${" ".repeat(this.drawn.length)}\r`);
    this.drawn = "";
  }
}

/** "step 12/200  loss 0.6231  accuracy 0.71  margin 0.2  410 pairs/s  12,300 tokens/s  2 min 07 s left" */
export function progressLine(
  record: Readonly<Record<string, number>>,
  totalSteps: number,
  secondsLeft: number | undefined,
): string {
  const parts = [`step ${record.step}/${totalSteps}`];
  for (const [label, key, unit] of SHOWN) {
    const value = record[key];
    if (value !== undefined) parts.push(unit ? `${showNumber(value)} ${unit}` : `${label} ${showNumber(value)}`);
  }
  if (secondsLeft !== undefined) parts.push(`${showDuration(secondsLeft)} left`);
  return parts.join("  ");
}

const SHOWN: readonly (readonly [label: string, key: string, unit?: string])[] = [
  ["loss", "loss"],
  ["eval loss", "eval_loss"],
  ["accuracy", "rewards/accuracies"],
  ["accuracy", "eval_rewards/accuracies"],
  ["margin", "rewards/margins"],
  ["margin", "eval_rewards/margins"],
  ["lr", "learning_rate"],
  ["", "pairs_per_second", "pairs/s"],
  ["", "tokens_per_second", "tokens/s"],
];
