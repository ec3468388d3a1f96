// What a run says that has nothing to measure: without a word and with exit code 0 it would pass for a good one.

/** Says so, with the flags that leave everything out. */
export function reportNoMatch(flags: Readonly<Record<string, string | undefined>>, hint = ""): void {
  const given = Object.entries(flags).flatMap(([name, value]) => value === undefined ? [] : `--${name}=${value}`);
  console.error(`Nothing to measure: no row matches ${given.join(" ")}${hint}`);
}
