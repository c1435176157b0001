import { type RowPlace, showPlace } from "../base/errors.js";
import type { KeptRow } from "./curation.js";
import type { Drop } from "./drops.js";
import { ExactDuplicates } from "./exact_duplicates.js";
import { NearDuplicates } from "./near_duplicates.js";
import type { PrepareSettings } from "./options.js";

/** The rows that were kept so far, to tell which later ones they make superfluous: of equal or similar rows the first stays. */
export class Duplicates {
  private readonly exact: ExactDuplicates | undefined;
  private readonly near: NearDuplicates | undefined;
  private readonly lines: number[] = []; // of the kept rows, in their files
  private readonly files: { readonly source: string; readonly firstRow: number }[] = [];

  constructor({ exactDuplicates, nearDuplicates, similarity }: PrepareSettings) {
    if (exactDuplicates !== "off") this.exact = new ExactDuplicates();
    if (nearDuplicates !== "off") this.near = new NearDuplicates(similarity);
  }

  /** Says of which earlier row this is a duplicate, or keeps it as one that later rows may be duplicates of. */
  admit({ key }: KeptRow, sketch: Uint8Array, place: RowPlace): Drop | undefined {
    const same = this.exact?.find(key);
    if (same !== undefined) return { step: "exactDuplicates", reason: "repeated", detail: this.nameOf(same) };
    const like = this.near?.find(sketch);
    if (like !== undefined) {
      const detail = `${this.nameOf(like.row)}, similarity ${like.similarity.toFixed(2)}`;
      return { step: "nearDuplicates", reason: "similar", detail };
    }
    this.exact?.add(key, this.lines.length);
    this.near?.add(sketch);
    if (this.files.at(-1)?.source !== place.source) {
      this.files.push({ source: place.source, firstRow: this.lines.length });
    }
    this.lines.push(place.index);
    return undefined;
  }

  private nameOf(row: number): string {
    const { source } = this.files.findLast(({ firstRow }) => firstRow <= row)!;
    return showPlace({ source, index: this.lines[row]! });
  }
}
