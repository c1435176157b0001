/** The steps that drop rows, in their order, each with the reasons it has for it. */
export const DROP_STEPS = {
  shape: {
    unreadable: "is no JSON object",
    noDialogue: "holds no dialogue that can be read",
    emptyTurn: "has a turn without text",
    brokenOrder: "has its speakers out of order",
    noAnswer: "has no answer of the assistant",
  },
  refusals: { refusal: "has an assistant that says a phrase of the list" },
  decontamination: { benchmark: "has words of a benchmark" },
  exactDuplicates: { repeated: "is an earlier row again" },
  nearDuplicates: { similar: "is nearly an earlier row" },
} as const;

export type DropStep = keyof typeof DROP_STEPS;
export type DropReason = { [Step in DropStep]: keyof (typeof DROP_STEPS)[Step] }[DropStep];

/** Why a row goes, and what of it shows that. */
export interface Drop {
  readonly step: DropStep;
  readonly reason: DropReason;
  readonly detail: string;
}

/** What may be changed of a row that stays. */
export const CHANGES = {
  lastTurnCut: "the user has the last word, which is cut off",
  truecased: "letters were made capital",
} as const;

export type Change = keyof typeof CHANGES;
