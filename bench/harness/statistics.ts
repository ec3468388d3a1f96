// Medians, as a busy machine makes single runs slower, never faster, and now and then by a lot.

/** The middle of some numbers, and how far apart they lie. */
export interface Summary {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** Summarises numbers, at least one. */
export function summarise(numbers: readonly number[]): Summary {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, least: sorted[0]!, most: sorted.at(-1)! };
}
