// A row of bars, one for each of the last measurements.
const BARS = "▁▂▃▄▅▆▇█";

/**
 * The last measurements, newest on the right, each as a bar against the greatest of those shown.
 *
 * @param values From 0.
 * @param columns How many at most.
 */
export function sparkline(values: readonly number[], columns: number): string {
  const shown = values.slice(-columns);
  const greatest = Math.max(0, ...shown);
  // What is not 0 is never drawn as 0: a bar above the lowest.
  const bar = (value: number) => value <= 0 ? 0 : Math.max(1, Math.round(value / greatest * (BARS.length - 1)));
  return shown.map((value) => BARS[bar(value)]!).join("");
}
