import { type HubEvent, type HubOptions, showBytes, showDuration } from "../index.js";
import { Progress, type Terminal } from "./progress.js";

/** Shows what comes from the hub: a line that moves on a terminal, elsewhere a line at every tenth. */
export class DownloadProgress {
  private readonly progress: Progress;
  private begun: { readonly at: number; readonly done: number; readonly name: string } | undefined;
  private tenths = 0;

  constructor(private readonly terminal: Terminal = process.stderr) {
    this.progress = new Progress(terminal);
  }

  show(event: HubEvent): void {
    const { name } = event;
    switch (event.kind) {
      case "waiting":
        this.progress.say(`${name}: ${event.because}; trying again in ${showDuration(event.seconds)}`);
        return;
      case "downloading":
        this.showBytes(event);
        return;
      case "located":
        this.progress.clear();
        if (event.note !== undefined)
          this.progress.say(`note: ${name} is the cache's ${event.commit}, since ${event.note}`);
        if (this.begun?.name === name) {
          const seconds = (performance.now() - this.begun.at) / 1000;
          this.progress.say(`${name}: downloaded ${event.commit} in ${showDuration(seconds)}`);
        }
        this.begun = undefined;
    }
  }

  private showBytes({ name, commit, file, done, total }: Extract<HubEvent, { kind: "downloading" }>): void {
    const now = performance.now();
    if (this.begun?.name !== name) {
      this.begun = { at: now, done, name };
      this.tenths = 0;
      const there = done > 0 ? `, ${showBytes(done)} of them there` : "";
      this.progress.say(`${name}: downloading ${showBytes(total)} of ${commit}${there}`);
    }
    const rate = (done - this.begun.done) / Math.max(1e-3, (now - this.begun.at) / 1000);
    const left = rate > 0 ? `  ${showBytes(rate)}/s  ${showDuration((total - done) / rate)} left` : "";
    const line = `${name}: ${showBytes(done)} of ${showBytes(total)}${left}`;
    this.progress.update(`${line}  ${file}`);
    const tenths = Math.floor((10 * done) / Math.max(1, total));
    if (!this.terminal.isTTY && tenths > this.tenths && done < total) this.progress.say(line);
    this.tenths = Math.max(tenths, this.tenths);
  }
}

/** How a command has names of the hub found, and what comes of it shown. */
export function hubOptions(
  { revision }: { readonly revision?: string | undefined },
  signal?: AbortSignal,
  terminal?: Terminal,
): HubOptions {
  const progress = new DownloadProgress(terminal);
  return { revision, signal, onEvent: (event) => progress.show(event) };
}
