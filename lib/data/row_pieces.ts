import type { RowPlace } from "../base/errors.js";
import { MOST_ROW_BYTES, tooLong } from "./raw_row.js";

/** The bytes of a row that come in pieces. */
export class RowPieces {
  private pieces: Buffer[] = [];
  private length = 0;

  /** Throws DataError where they become more than a row may have. */
  add(piece: Buffer, place: RowPlace): void {
    this.length += piece.length;
    if (this.length > MOST_ROW_BYTES) throw tooLong(place);
    this.pieces.push(piece);
  }

  /** All of them; what is added from then on is of the next row. */
  take(): Buffer {
    const bytes = this.pieces.length === 1 ? this.pieces[0]! : Buffer.concat(this.pieces);
    [this.pieces, this.length] = [[], 0];
    return bytes;
  }
}
