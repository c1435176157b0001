/** Training that both sides do on the same rows, and how many times faster westwind is to be. */
export interface Training {
  readonly name: string;
  /** Where it is done; on a CPU if nothing is said. */
  readonly on?: "cuda";
  readonly what: string;
  readonly against: string;
  readonly task: "dpo" | "sft";
  readonly model: "15m" | "110m";
  readonly dtype: "f32" | "bf16";
  readonly batch: number;
  /** Whether westwind's steps bear their share of the reference model's pass: those of the first epoch do. */
  readonly bearsReference: boolean;
  /** Whether the peer's reference model runs before the steps that are timed, and not in each of them. */
  readonly precompute: boolean;
  /** Whether the peer's allocator keeps large blocks, which it gains up to 2.7 times from. */
  readonly tuned: boolean;
  readonly target: number;
  /** Of the products' rate on the same machine, for a step without the reference's pass. */
  readonly floorTarget?: number;
}

const onCpu: readonly Training[] = [
  {
    name: "dpo_15m_f32",
    what: "DPO 15M f32, first epoch",
    against: "TRL, live reference, as installed",
    task: "dpo",
    model: "15m",
    dtype: "f32",
    batch: 8,
    bearsReference: true,
    precompute: false,
    tuned: false,
    target: 20,
    floorTarget: 0.9,
  },
  {
    name: "dpo_15m_f32_tuned",
    what: "DPO 15M f32, first epoch",
    against: "TRL, live reference, tuned",
    task: "dpo",
    model: "15m",
    dtype: "f32",
    batch: 8,
    bearsReference: true,
    precompute: false,
    tuned: true,
    target: 12,
  },
  {
    name: "dpo_15m_bf16",
    what: "DPO 15M bf16, cached reference",
    against: "TRL autocast, live reference, as installed",
    task: "dpo",
    model: "15m",
    dtype: "bf16",
    batch: 8,
    bearsReference: false,
    precompute: false,
    tuned: false,
    target: 25,
  },
  {
    name: "dpo_15m_bf16_tuned",
    what: "DPO 15M bf16, cached reference",
    against: "TRL autocast, precomputed, tuned",
    task: "dpo",
    model: "15m",
    dtype: "bf16",
    batch: 8,
    bearsReference: false,
    precompute: true,
    tuned: true,
    target: 7,
    floorTarget: 0.8,
  },
  {
    name: "sft_15m_f32",
    what: "SFT 15M f32, packed to 512",
    against: "TRL SFT packing, tuned",
    task: "sft",
    model: "15m",
    dtype: "f32",
    batch: 4,
    bearsReference: false,
    precompute: false,
    tuned: true,
    target: 4.5,
  },
  {
    name: "sft_15m_bf16",
    what: "SFT 15M bf16, packed to 512",
    against: "TRL SFT packing, autocast, tuned",
    task: "sft",
    model: "15m",
    dtype: "bf16",
    batch: 4,
    bearsReference: false,
    precompute: false,
    tuned: true,
    target: 5,
  },
  {
    name: "dpo_110m_bf16",
    what: "DPO 110M bf16, cached reference",
    against: "TRL autocast, precomputed, tuned",
    task: "dpo",
    model: "110m",
    dtype: "bf16",
    batch: 8,
    bearsReference: false,
    precompute: true,
    tuned: true,
    target: 4,
  },
];

/** On one GPU that both share. */
const gpu = {
  on: "cuda",
  task: "dpo",
  model: "15m",
  dtype: "bf16",
  bearsReference: false,
  tuned: false,
  target: 10,
} as const;
const onGpu: readonly Training[] = [8, 32, 64].map((batch) => ({
  ...gpu,
  name: `gpu_dpo_15m_bf16_${batch}`,
  what: `DPO 15M bf16, ${batch} pairs, cached reference`,
  against: "TRL autocast, precomputed",
  batch,
  precompute: true,
}));
const asInstalled: Training = {
  ...gpu,
  name: "gpu_dpo_15m_bf16_8_live",
  what: "DPO 15M bf16, 8 pairs, cached reference",
  against: "TRL autocast, live reference",
  batch: 8,
  precompute: false,
};

export const TRAININGS: readonly Training[] = [...onCpu, ...onGpu, asInstalled];
