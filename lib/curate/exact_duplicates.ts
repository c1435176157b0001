/** Half of a text's 64-bit hash and the other; as unsigned 32-bit integers. */
export type TextKey = readonly [number, number];

/** Numbers of rows by the hash of their text: 12 bytes an entry, three eighths to three quarters of which are in use. */
export class ExactDuplicates {
  private first = new Uint32Array(1 << 12);
  private second = new Uint32Array(1 << 12);
  private rows = new Int32Array(1 << 12).fill(-1);
  private count = 0;

  /** The row with this key that was added first. */
  find(key: TextKey): number | undefined {
    const row = this.rows[this.slotOf(key)]!;
    return row < 0 ? undefined : row;
  }

  /** Adds a row whose key is not there. */
  add(key: TextKey, row: number): void {
    if (4 * ++this.count > 3 * this.rows.length) this.grow();
    this.put(key, row);
  }

  private put(key: TextKey, row: number): void {
    const slot = this.slotOf(key);
    [this.first[slot], this.second[slot], this.rows[slot]] = [key[0], key[1], row];
  }

  private slotOf([first, second]: TextKey): number {
    const mask = this.rows.length - 1;
    let slot = first & mask;
    while (this.rows[slot]! >= 0 && (this.first[slot] !== first || this.second[slot] !== second))
      slot = (slot + 1) & mask;
    return slot;
  }

  private grow(): void {
    const { first, second, rows } = this;
    const size = 2 * rows.length;
    [this.first, this.second, this.rows] = [
      new Uint32Array(size),
      new Uint32Array(size),
      new Int32Array(size).fill(-1),
    ];
    rows.forEach((row, slot) => {
      if (row >= 0) this.put([first[slot]!, second[slot]!], row);
    });
  }
}
