import type { Arrays, Axes } from "../kernels/conformance.js";

export function adjustLogits(
  { rows, ids, change, logits }: Arrays<"rows" | "ids" | "change" | "logits">,
  { V }: Axes<"E" | "R" | "V">,
): Arrays<"logits"> {
  const changed = logits.slice();
  rows.forEach((row, e) => {
    const at = row * V + ids[e]!;
    const repetition = change[2 * e]!;
    changed[at] = (changed[at]! > 0 ? changed[at]! / repetition : changed[at]! * repetition) + change[2 * e + 1]!;
  });
  return { logits: changed };
}

/** Sorts, then cuts, then draws. */
export function sampleTokens(
  { logits, settings, draws }: Arrays<"logits" | "settings" | "draws">,
  { R, V }: Axes<"R" | "V">,
): Arrays<"tokens"> {
  const tokens = new Float64Array(R);
  for (let r = 0; r < R; r++) {
    const row = logits.subarray(r * V, (r + 1) * V).map((logit) => (Number.isNaN(logit) ? -Infinity : logit));
    const [temperature, topP, minP] = settings.subarray(3 * r, 3 * r + 3);
    tokens[r] = sample(
      row,
      { temperature: temperature!, topP: topP!, minP: minP!, topK: draws[2 * r]! },
      draws[2 * r + 1]!,
    );
  }
  return { tokens };
}

function sample(
  logits: Float64Array,
  { temperature, topP, minP, topK }: { temperature: number; topP: number; minP: number; topK: number },
  bits: number,
): number {
  const order = Array.from(logits.keys()).sort((a, b) =>
    logits[a] === logits[b] ? a - b : logits[b]! > logits[a]! ? 1 : -1,
  );
  const highest = logits[order[0]!]!;
  if (highest === -Infinity) return 0;
  if (!(temperature > 0)) return order[0]!;
  const exact = (id: number): number => (logits[id] === highest ? 1 : Math.exp((logits[id]! - highest) / temperature));
  const weight = (id: number): number => Math.round(exact(id) * 2 ** 32) / 2 ** 32;
  const sum = (ids: readonly number[]): number => ids.reduce((all, id) => all + weight(id), 0);
  let kept = topK > 0 ? order.slice(0, topK) : order;
  if (topP < 1) {
    const share = topP * sum(kept);
    let [count, held] = [0, 0];
    while (count === 0 || (count < kept.length && held < share)) held += weight(kept[count++]!);
    kept = kept.slice(0, count);
  }
  if (minP > 0) kept = kept.filter((id) => exact(id) >= minP);
  const bound = ((bits >>> 0) / 2 ** 32) * sum(kept);
  let held = 0;
  for (const id of kept.toSorted((a, b) => a - b)) {
    held += weight(id);
    if (held > bound) return id;
  }
  throw new Error("the weights sum to less than their sum");
}

export function moveTokens(
  { sampled, from, to, tokens }: Arrays<"sampled" | "from" | "to" | "tokens">,
  _axes: Axes<"S" | "N" | "T">,
): Arrays<"tokens"> {
  const moved = tokens.slice();
  from.forEach((place, n) => {
    moved[to[n]!] = sampled[place]!;
  });
  return { tokens: moved };
}
