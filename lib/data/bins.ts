/**
 * Puts items into bins of `capacity` by best fit decreasing: the largest item first, each into the fullest bin that has
 * room, a new bin where none has. An item larger than the capacity gets a bin of its own. Ties go by index, so the same
 * sizes give the same bins. Bins come in the order they were opened, the items of each by index.
 */
export function bestFitDecreasing(sizes: readonly number[], capacity: number): number[][] {
  const order = sizes.map((_, i) => i).sort((a, b) => sizes[b]! - sizes[a]! || a - b);
  const bins: number[][] = [];
  const open: { readonly room: number; readonly bin: number }[] = []; // by room, then by bin
  for (const item of order) {
    const size = sizes[item]!;
    const at = firstWith(open, size);
    const { room, bin } = at < open.length ? open.splice(at, 1)[0]! : { room: capacity, bin: bins.length };
    if (bin === bins.length) bins.push([]);
    bins[bin]!.push(item);
    const left = room - size;
    if (left > 0) open.splice(firstWith(open, left, bin), 0, { room: left, bin });
  }
  for (const bin of bins) bin.sort((a, b) => a - b);
  return bins;
}

/** The first place whose bin has at least `room`, and among those with just `room` a number of at least `bin`. */
function firstWith(open: readonly { readonly room: number; readonly bin: number }[], room: number, bin = 0): number {
  let [low, high] = [0, open.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const entry = open[middle]!;
    if (entry.room < room || (entry.room === room && entry.bin < bin)) low = middle + 1;
    else high = middle;
  }
  return low;
}
