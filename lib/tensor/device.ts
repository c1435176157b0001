import { ConfigError } from "../base/errors.js";
import { native } from "../native/load.js";
import type { LibraryInfo, SystemInfo } from "../native/surface.js";

export interface CpuOptions {
  /** Default: `WESTWIND_THREADS`, else one for each processor that this process may use. */
  readonly threads?: number;
  /** One of `systemInfo().instructionSets`. Default: `WESTWIND_ISA`, else the fastest here. */
  readonly instructionSet?: string;
}

/** A device and the stream that orders everything on it: calls enqueue and return, only reads and `sync` wait. */
export class Device implements Disposable {
  private constructor(
    readonly kind: "cpu" | "cuda" | "none",
    readonly stream: number,
    readonly description: string,
  ) {}

  static cpu(options: CpuOptions = {}): Device {
    const threads = options.threads ?? threadsFromEnvironment();
    const instructionSet = options.instructionSet ?? process.env.WESTWIND_ISA ?? "";
    const { cpu } = native.systemInfo();
    const stream = native.createStream("cpu", threads, instructionSet);
    const isa = instructionSet || cpu[0]?.features;
    return new Device("cpu", stream, `${cpu[0]?.name}, ${isa}, ${threads || cpu[0]?.units} threads`);
  }

  static cuda(ordinal: number): Device {
    const stream = native.createStream("cuda", ordinal, "");
    const { name, features } = native.systemInfo().cuda[ordinal]!;
    return new Device("cuda", stream, `cuda:${ordinal}, ${name}, ${features}`);
  }

  /** Runs nothing and counts what arenas hand out: the memory of a step before any of it is taken. */
  static plan(): Device {
    return new Device("none", native.createStream("none", 0, ""), "none");
  }

  /** "cpu", "cuda", "cuda:1", which never fall back, or "auto": the first GPU if there is one, else the CPU. */
  static open(name: string, options: CpuOptions = {}): Device {
    if (name === "cpu") return Device.cpu(options);
    if (name === "auto") return native.systemInfo().cuda.length > 0 ? Device.cuda(0) : Device.cpu(options);
    const cuda = /^cuda(?::(\d+))?$/.exec(name);
    if (!cuda) throw new ConfigError("device", `${name}, expected auto, cpu, cuda or cuda:N`);
    return Device.cuda(Number(cuda[1] ?? 0));
  }

  /** Bytes of this device at the moment. */
  get memory(): { readonly free: number; readonly total: number } {
    return native.streamMemory(this.stream);
  }

  /** Waits until everything enqueued so far has run. Rejects with the first error, which names its kernel. */
  sync(): Promise<void> {
    return native.sync(this.stream);
  }

  [Symbol.dispose](): void {
    native.disposeStream(this.stream);
  }
}

function threadsFromEnvironment(): number {
  const text = process.env.WESTWIND_THREADS;
  if (text === undefined || text === "") return 0;
  const threads = Number(text);
  if (Number.isInteger(threads) && threads > 0) return threads;
  throw new ConfigError("WESTWIND_THREADS", `${text}, expected a positive integer`);
}

export const systemInfo = (): SystemInfo & { readonly cudaLibraries: readonly LibraryInfo[] } => ({
  ...native.systemInfo(),
  cudaLibraries: native.cudaLibraries(),
});
