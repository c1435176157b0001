/** What the addon exports. Handles are numbers that the addon checks; every error is a NativeError. */

/** u16 and u8 are raw bits. */
export type DType = "f32" | "bf16" | "i32" | "u16" | "u8";
/** How numbers lie in a file that `loadTensor` reads. */
export type LoadedDtype = "F32" | "BF16" | "F16" | "U16" | "U8";
export type Role = "in" | "out" | "acc" | "update" | "scalar";

/** One argument of a kernel, as native/kernels/<name>.h declares it. */
export interface Field {
  readonly name: string;
  readonly role: Role;
  /** "t[R,C]" of a tensor; "f32", "f64" or "i64" of a scalar. */
  readonly spec: string;
}

export interface DeviceInfo {
  readonly name: string;
  readonly features: string;
  readonly memoryBytes: number;
  readonly units: number;
}

/** A library that is found at run time. */
export interface LibraryInfo {
  readonly name: string;
  /** This and `path` are empty if the library is missing. */
  readonly version: string;
  readonly path: string;
  /** Where it was looked for, and what to install. */
  readonly missing: string;
}

export interface SystemInfo {
  readonly cpu: readonly DeviceInfo[];
  /** The instruction sets that this build has and this machine runs, slowest first. */
  readonly instructionSets: readonly string[];
  readonly cuda: readonly DeviceInfo[];
  /** Why `cuda` is empty. */
  readonly cudaMissing: string;
}

export interface Surface {
  setErrorClass(errorClass: new (code: string, message: string) => Error): void;
  systemInfo(): SystemInfo;
  /** Those that CUDA kernels need; none where there is no GPU. The first call loads them. */
  cudaLibraries(): LibraryInfo[];

  createStream(device: "cpu" | "cuda" | "none", threadsOrOrdinal: number, instructionSet: string): number;
  disposeStream(stream: number): void;
  /** Bytes of the device at this moment. */
  streamMemory(stream: number): { free: number; total: number };
  sync(stream: number): Promise<void>;

  createArena(stream: number, bytes: number): number;
  resetArena(arena: number): void;
  disposeArena(arena: number): void;
  arenaBytes(arena: number): number;
  arenaPeak(arena: number): number;

  createTensor(arena: number, dtype: DType, ...dims: number[]): number;
  viewTensor(tensor: number, firstElement: number, ...dims: number[]): number;
  uploadTensor(tensor: number, values: Float32Array | Uint16Array | Int32Array | Uint8Array): void;
  readTensor(stream: number, tensor: number): Promise<ArrayBuffer>;

  openFile(path: string): number;
  closeFile(file: number): void;
  loadTensor(tensor: number, file: number, firstByte: number, dtype: LoadedDtype): void;

  readonly manifest: Readonly<Record<string, readonly Field[]>>;
  readonly kernels: Readonly<Record<string, (stream: number, ...values: number[]) => void>>;
  readonly flops: Readonly<Record<string, (...values: number[]) => number>>;
}
