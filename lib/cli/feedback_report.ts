import { type FeedbackProgress, type MemberProgress, showDuration, showNumber, textTable } from "../index.js";
import { Progress, type Terminal } from "./progress.js";

/** Shows how far it is: on a terminal at every answer, elsewhere a line at every tenth of them; at the end a table. */
export class FeedbackReport {
  private readonly progress: Progress;
  private last: FeedbackProgress | undefined;
  private tenths = 0;

  /** `what` is counted. */
  constructor(
    private readonly terminal: Terminal = process.stderr,
    private readonly what = "answers",
  ) {
    this.progress = new Progress(terminal);
  }

  report(now: FeedbackProgress): void {
    const { done, total, continued } = now;
    if (this.last === undefined && continued > 0)
      this.progress.say(`there already: ${continued} of ${total} ${this.what}`);
    this.last = now;
    this.progress.update(describe(now, this.what));
    const tenths = Math.floor((10 * done) / total);
    if (!this.terminal.isTTY && tenths > this.tenths && done > continued) this.progress.say(describe(now, this.what));
    this.tenths = tenths;
  }

  end(): void {
    this.progress.clear();
    if (this.last !== undefined) this.progress.say(table(this.last, this.what));
  }
}

function describe(progress: FeedbackProgress, what: string): string {
  const { done, total, continued, seconds, failed, cost, models } = progress;
  const rate = (done - continued) / seconds;
  const parts = [
    `${done}/${total} ${what}`,
    ...(done > continued ? [`${showNumber(rate)}/s`, `${showDuration((total - done) / rate)} left`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(cost > 0 ? [`cost ${showCost(cost)}`] : []),
  ];
  const each = models
    .filter((one) => one.total > 0)
    .map((one) => `${one.model} ${one.done}/${one.total}${spendOf(one)}`);
  return `${parts.join("  ")}  (${each.join(", ")})`;
}

const spendOf = ({ cost }: MemberProgress): string => (cost > 0 ? ` ${showCost(cost)}` : "");
export const showCost = (cost: number): string => (cost === 0 ? "0" : cost.toFixed(cost < 0.1 ? 4 : 2));

function table({ done, total, failed, seconds, models }: FeedbackProgress, what: string): string {
  const rows = models.map((one) => {
    const tokens = [one.prompt_tokens, one.completion_tokens].map((count) => count.toLocaleString("en-US"));
    return [one.model, one.total, one.done - one.failed, one.failed, ...tokens, showCost(one.cost)];
  });
  const header = ["model", "wanted", "answered", "failed", "prompt tokens", "completion tokens", "cost"];
  const failures = failed > 0 ? `, ${failed} of them failed` : "";
  return `${done} of ${total} ${what}${failures}, ${showDuration(seconds)}\n${textTable(header, rows)}`;
}
